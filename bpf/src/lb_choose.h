/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which backend a packet goes to.
 *
 *   known flow ──► where it was ──(dead or gone)──► a candidate that lives
 *   new flow ────► one of two candidates, drawn by their room for its class; remembered
 *   unknown, not opening ──► candidate 1: it may live there, or that node passes it on to candidate 2
 *   UDP at a time of doubt ─► as if new, but by way of the other candidate, which keeps it if it lives there
 */
#ifndef SENTINEL_LB_CHOOSE_H
#define SENTINEL_LB_CHOOSE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

#include "lb_memory.h"
#include "lb_place.h"

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
		route->backend = place(packet, vip, route);
	conn->unsure = 0;
	conn->second = SN_LB_BACKENDS;
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

/* The other of two, for a flow that would begin at one of them: there it may live, if another balancer placed it. */
static __always_inline void look_elsewhere(const struct sn_packet *packet, const struct sn_vip *vip,
					   struct sn_lb_route *route)
{
	struct sn_pair *pair = pair_at(vip, slot_of(route->hash));

	route->second = SN_LB_BACKENDS;
	if (!pair || pair->first == pair->second)
		return;
	if (pair->first == route->backend)
		route->second = pair->second;
	else if (pair->second == route->backend)
		route->second = pair->first;
	route->unsure = route->second < SN_LB_BACKENDS && in_doubt(packet->now_ns, packet->now_ns >> MET_SHIFT);
}

static __always_inline void begin(struct sn_packet *packet, const struct sn_vip *vip, struct sn_lb_route *route,
				  const struct sn_flow_key *key)
{
	int opens = may_open(packet), crowded = too_many(packet->now_ns);

	route->opens = opens;
	route->backend = opens && !crowded ? place(packet, vip, route) : SN_LB_BACKENDS;
	if (route->backend == SN_LB_BACKENDS) {
		route->backend = first_living(packet, vip, route->hash);
		packet->reason = crowded ? SN_LB_UNRECORDED : opens ? SN_LB_ONLY_ONE : SN_LB_MIDSTREAM;
		if (!opens)
			doubt(packet, vip, route);
	}
	if (packet->key.protocol == IPPROTO_UDP)
		look_elsewhere(packet, vip, route);
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
	if (packet->key.protocol == IPPROTO_UDP && !conn->unsure)
		conn->unsure = conn->second < SN_LB_BACKENDS && in_doubt(packet->now_ns, conn->met);
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

/* An error follows the flow that it is about, and nobody remembers it. */
static __always_inline void follow_inner(const struct sn_conn *conn, struct sn_packet *packet, const struct sn_vip *vip,
					 struct sn_lb_route *route)
{
	packet->reason = SN_LB_ICMP;
	if (conn && living(conn->backend, packet->now_ns)) {
		route->backend = conn->backend;
		route->second = conn->second;
		route->unsure = conn->unsure;
		return;
	}
	route->backend = first_living(packet, vip, route->hash);
	doubt(packet, vip, route);
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
		follow_inner(conn, packet, vip, route);
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
