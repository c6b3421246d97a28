/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which backend a packet goes to.
 *
 *   known flow ──► where it was ──(dead or gone)──► a candidate that lives
 *   new flow ────► of two candidates the one with more room for its class; remembered
 *   unknown, not opening ──► candidate 1: it may live there, or that node passes it on to candidate 2
 */
#ifndef SENTINEL_LB_CHOOSE_H
#define SENTINEL_LB_CHOOSE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

#include "lb_place.h"

const volatile __u64 sn_opens_per_s =
	100000; /* new flows a second and CPU beyond which none is remembered; 0: no bound */

#define NS_PER_S 1000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct sn_flow_key);
	__type(value, struct sn_conn);
} sn_lb_conns SEC(".maps");

/*
 * A connection enters the table with its second packet. Until then it has a line here, which costs a sixth of making
 * room in a full table, and a flood of openings pushes out nobody who talks.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_OPENINGS);
	__type(key, __u32);
	__type(value, struct sn_opening);
} sn_lb_openings SEC(".maps");

struct opened {
	__u64 window_ns;
	__u64 flows;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct opened);
} sn_lb_opened SEC(".maps");

/* Good to a packet: a CPU counts for itself. */
static __always_inline int too_many(__u64 now)
{
	__u32 zero = 0;
	struct opened *opened = bpf_map_lookup_elem(&sn_lb_opened, &zero);

	if (!sn_opens_per_s || !opened)
		return 0;
	if (age(now, opened->window_ns) >= NS_PER_S) {
		opened->window_ns = now;
		opened->flows = 0;
	}
	return ++opened->flows > sn_opens_per_s;
}

static __always_inline int same_flow(const struct sn_flow_key *one, const struct sn_flow_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[4] == b[4] && a[1] == b[1] && a[0] == b[0] && a[3] == b[3] && a[2] == b[2];
}

/* Two lines side by side may hold it. */
static __always_inline struct sn_opening *opening_at(const struct sn_lb_route *route, __u32 other)
{
	__u32 index = (route->hash & (SN_LB_OPENINGS - 1)) ^ other;

	return bpf_map_lookup_elem(&sn_lb_openings, &index);
}

static __always_inline struct sn_opening *opening_of(const struct sn_flow_key *key, const struct sn_lb_route *route)
{
	struct sn_opening *one = opening_at(route, 0), *other;

	if (one && same_flow(&one->key, key))
		return one;
	other = opening_at(route, 1);
	return other && same_flow(&other->key, key) ? other : NULL;
}

/* Where it is already, or instead of the older of two. */
static __always_inline struct sn_opening *place_for(const struct sn_flow_key *key, const struct sn_lb_route *route)
{
	struct sn_opening *known = opening_of(key, route), *one = opening_at(route, 0), *other = opening_at(route, 1);

	if (known || !one || !other)
		return known;
	return other->conn.last_ns < one->conn.last_ns ? other : one;
}

static __always_inline void remember(const struct sn_packet *packet, const struct sn_vip *vip,
				     const struct sn_flow_key *key, const struct sn_lb_route *route)
{
	__u32 backend = route->backend;
	struct sn_backend_state *state = bpf_map_lookup_elem(&sn_lb_states, &backend);
	struct sn_opening *opening;
	struct sn_conn conn = {};

	if (!state)
		return;
	conn.last_ns = packet->now_ns;
	conn.generation = state->generation;
	conn.hash = route->hash;
	conn.backend = backend;
	conn.unsure = route->unsure;
	conn.second = route->second;
	if (key->protocol != IPPROTO_TCP || !route->opens || route->known == SN_LB_OVER ||
	    (vip->flags & SN_VIP_STICKY)) {
		bpf_map_update_elem(&sn_lb_conns, key, &conn, BPF_ANY);
		return;
	}
	opening = place_for(key, route);
	if (!opening)
		return;
	opening->key = *key;
	opening->conn = conn;
}

static __always_inline int may_open(const struct sn_packet *packet)
{
	if (packet->flags & SN_FRAGMENT)
		return 0;
	return packet->key.protocol == IPPROTO_TCP ? !!(packet->flags & SN_SYN) : packet->key.protocol == IPPROTO_UDP;
}

/* Whether this packet begins another flow under a key that is known; a client address that sticks has no end but time. */
static __always_inline int is_over(const struct sn_conn *conn, const struct sn_packet *packet, const struct sn_vip *vip)
{
	if (!may_open(packet))
		return 0;
	if (vip->idle_ns && age(packet->now_ns, conn->last_ns) > vip->idle_ns)
		return 1;
	return conn->closed && !(vip->flags & SN_VIP_STICKY);
}

/* The flow's backend is dead or gone. */
static __always_inline void move(struct sn_conn *conn, struct sn_packet *packet, const struct sn_vip *vip,
				 struct sn_lb_route *route)
{
	struct sn_backend_state *state;

	if (conn->unsure && living(conn->second, packet->now_ns))
		route->backend = conn->second;
	else
		route->backend = place(packet, vip, route->hash);
	conn->unsure = 0;
	if (route->backend == SN_LB_BACKENDS)
		route->backend = first_living(packet, vip, route->hash);
	packet->reason = SN_LB_MOVED;
	state = living(route->backend, packet->now_ns);
	if (!state)
		return;
	conn->backend = route->backend;
	conn->generation = state->generation;
}

/* Another balancer may have placed the flow at the other candidate, as long as both live. */
static __always_inline void doubt(const struct sn_packet *packet, const struct sn_vip *vip, struct sn_lb_route *route)
{
	struct sn_pair *pair = pair_at(vip, slot_of(route->hash));

	if (!pair || pair->first != route->backend || pair->first == pair->second ||
	    !living(pair->second, packet->now_ns))
		return;
	route->second = pair->second;
	route->unsure = 1;
}

static __always_inline void begin(struct sn_packet *packet, const struct sn_vip *vip, struct sn_lb_route *route,
				  const struct sn_flow_key *key)
{
	int opens = may_open(packet), crowded = too_many(packet->now_ns);

	route->opens = opens;
	route->backend = opens && !crowded ? place(packet, vip, route->hash) : SN_LB_BACKENDS;
	if (route->backend == SN_LB_BACKENDS) {
		route->backend = first_living(packet, vip, route->hash);
		packet->reason = crowded ? SN_LB_UNRECORDED : opens ? SN_LB_ONLY_ONE : SN_LB_MIDSTREAM;
		if (!opens)
			doubt(packet, vip, route);
	}
	if (!crowded && route->backend < SN_LB_BACKENDS)
		remember(packet, vip, key, route);
}

/* Whether the packet's flow is known, and stays where it was. */
static __always_inline int follows(struct sn_conn *conn, struct sn_packet *packet, const struct sn_vip *vip,
				   struct sn_lb_route *route)
{
	struct sn_backend_state *state;

	if (!conn)
		return 0;
	if (is_over(conn, packet, vip)) {
		route->known = SN_LB_OVER;
		return 0;
	}
	route->known = SN_LB_FOUND;
	conn->last_ns = packet->now_ns;
	if (packet->flags & SN_CLOSES)
		conn->closed = 1;
	state = living(conn->backend, packet->now_ns);
	if (!state || state->generation != conn->generation)
		return 0;
	packet->reason = SN_LB_KNOWN;
	route->backend = conn->backend;
	route->hash = conn->hash;
	route->second = conn->second;
	route->unsure = conn->unsure;
	return 1;
}

/* What is known of a connection that only began; with its next packet it enters the table. */
static __always_inline struct sn_conn *begun(struct sn_flow_key *key, struct sn_packet *packet, struct sn_vip *vip,
					     struct sn_lb_route *route)
{
	struct sn_opening *opening = key->protocol == IPPROTO_TCP ? opening_of(key, route) : NULL;
	struct sn_conn *conn;

	if (!opening)
		return NULL;
	conn = &opening->conn;
	if (route->about)
		return conn;
	if (!may_open(packet)) {
		bpf_map_update_elem(&sn_lb_conns, key, conn, BPF_ANY);
		conn = bpf_map_lookup_elem(&sn_lb_conns, key);
		opening->key.protocol = 0;
		opening->conn.last_ns = 0;
	}
	follows(conn, packet, vip, route);
	if (route->known == SN_LB_FOUND)
		return conn;
	route->known = SN_LB_NEW;
	return NULL;
}

static __always_inline struct sn_conn *conn_of(struct sn_flow_key *key, struct sn_packet *packet, struct sn_vip *vip,
					       struct sn_lb_route *route)
{
	struct sn_conn *conn = NULL;

	if (vip->flags & SN_VIP_STICKY) {
		conn = bpf_map_lookup_elem(&sn_lb_conns, key);
		if (route->about)
			return conn;
		follows(conn, packet, vip, route);
		return route->known == SN_LB_FOUND ? conn : NULL;
	}
	if (route->about || route->known == SN_LB_FOUND)
		conn = bpf_map_lookup_elem(&sn_lb_conns, key);
	return conn || route->known != SN_LB_NEW ? conn : begun(key, packet, vip, route);
}

/*
 * All but the packets of a flow that stays where it was, which do not come this far unless client addresses stick;
 * 0 when nobody is left to send it to.
 */
int sn_lb_place(struct sn_packet *packet, struct sn_vip *vip, struct sn_lb_route *route)
{
	struct sn_flow_key key;
	struct sn_conn *conn;

	if (!packet || !vip || !route)
		return 0;
	key = packet->key;
	if (vip->flags & SN_VIP_STICKY) {
		key.source_port = 0;
		key.destination_port = 0;
	}
	route->hash = hash_of(&key);
	conn = conn_of(&key, packet, vip, route);
	if (route->backend < SN_LB_BACKENDS)
		return 1;
	if (route->about) {
		route->backend = conn && living(conn->backend, packet->now_ns) ? conn->backend
									       : first_living(packet, vip, route->hash);
		packet->reason = SN_LB_ICMP;
	} else if (conn) {
		move(conn, packet, vip, route);
	} else if (packet->flags & SN_FRAGMENT) {
		route->backend = first_living(packet, vip, route->hash);
		packet->reason = SN_LB_FRAGMENT;
	} else {
		begin(packet, vip, route, &key);
	}
	if (route->backend < SN_LB_BACKENDS)
		return 1;
	packet->reason = SN_LB_NONE_ALIVE;
	return 0;
}

/* Fills the route and packet->reason; 0 when nobody is left to send it to. */
static __always_inline int choose(struct sn_packet *packet, struct sn_vip *vip, struct sn_lb_route *route)
{
	if (!route->about && !(vip->flags & SN_VIP_STICKY) &&
	    follows(bpf_map_lookup_elem(&sn_lb_conns, &packet->key), packet, vip, route))
		return 1;
	return sn_lb_place(packet, vip, route);
}

#endif
