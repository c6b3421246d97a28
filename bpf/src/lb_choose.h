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

const volatile __u64 sn_lb_seed = 0; /* of the flow hash: the same on all balancers of a VIP */
const volatile __u64 sn_ready_age_ns = SN_READY_MAX_AGE_MS * 1000000ull;
const volatile __u64 sn_mesh_age_ns = 150000000; /* 10 Hz and one late record */
const volatile __u64 sn_opens_per_s =
	100000; /* new flows a second and CPU beyond which none is remembered; 0: no bound */

#define NS_PER_S 1000000000ull
#define MISSED_PROBES 3
#define ATTEMPTS 4
#define STEP 24593 /* to a slot with other candidates when both of one are of no use */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct sn_flow_key);
	__type(value, struct sn_conn);
} sn_lb_conns SEC(".maps");

/* Written whole into a ring that no VIP uses, and then named by the VIP's entry: that one store is the swap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 8 * SN_LB_SLOTS);
	__type(key, __u32);
	__type(value, struct sn_pair);
} sn_lb_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_BACKENDS);
	__type(key, __u32);
	__type(value, struct sn_backend_state);
} sn_lb_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_BACKENDS *SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_ready);
} sn_ready SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_BACKENDS);
	__type(key, __u32);
	__type(value, struct sn_seen);
} sn_seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_prober);
} sn_prober SEC(".maps");

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

/* What is written on another CPU may be a little ahead of this packet. */
static __always_inline __u64 age(__u64 now, __u64 then)
{
	return now > then ? now - then : 0;
}

static __always_inline __u64 hash_of(const struct sn_flow_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 hash = sn_lb_seed;

#pragma unroll
	for (int i = 0; i < 5; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	hash *= 0xc2b2ae3d27d4eb4full;
	return hash ^ hash >> 29;
}

/* Two witnesses must agree: probes unanswered, and the mesh silent or suspicious. A silent prober proves nothing. */
static __always_inline int is_dead(__u32 backend, const struct sn_backend_state *state, __u64 now)
{
	__u32 zero = 0;
	struct sn_prober *prober = bpf_map_lookup_elem(&sn_prober, &zero);
	struct sn_seen *seen = bpf_map_lookup_elem(&sn_seen, &backend);
	__u64 patience;

	if (!prober || !seen)
		return 0;
	patience = prober->period_ns * MISSED_PROBES;
	if (age(now, prober->beat_ns) > patience || age(now, seen->last_seen_ns) <= patience)
		return 0;
	return (state->flags & SN_BACKEND_SUSPECTED) || age(now, state->mesh_ns) > sn_mesh_age_ns;
}

/* The state of a backend that lives, or NULL. */
static __always_inline struct sn_backend_state *living(__u32 backend, __u64 now)
{
	struct sn_backend_state *state = bpf_map_lookup_elem(&sn_lb_states, &backend);

	if (!state || !(state->flags & SN_BACKEND_PRESENT) || is_dead(backend, state, now))
		return NULL;
	return state;
}

static __always_inline struct sn_pair *pair_at(const struct sn_vip *vip, __u32 slot)
{
	__u32 index = vip->ring * SN_LB_SLOTS + slot;

	return bpf_map_lookup_elem(&sn_lb_rings, &index);
}

static __always_inline __u32 slot_of(__u64 hash)
{
	return (hash >> 32) * SN_LB_SLOTS >> 32;
}

static __always_inline __u32 next_slot(__u32 slot)
{
	return slot + STEP < SN_LB_SLOTS ? slot + STEP : slot + STEP - SN_LB_SLOTS;
}

struct candidate {
	__u32 backend;
	__u32 load;
	__u64 room;
	__u32 known; /* 1: the room is fresh */
	__u32 usable;
};

static __always_inline void look_at(struct candidate *one, __u32 backend, __u64 now)
{
	struct sn_backend_state *state = living(backend, now);

	one->backend = backend;
	one->usable = state && !(state->flags & SN_BACKEND_DRAINING);
	one->load = state ? state->load : 0;
}

static __always_inline void ask_room(struct candidate *one, __u32 class_id, __u64 now)
{
	__u32 index = one->backend * SN_CLASSES + class_id;
	struct sn_ready *ready = bpf_map_lookup_elem(&sn_ready, &index);

	one->known = ready && ready->seen_ns && age(now, ready->seen_ns) <= sn_ready_age_ns;
	one->room = one->known ? ready->headroom_bytes : 0;
}

/* Room that is known beats room that is not, and that beats none. Equals stay with the ring. */
static __always_inline __u32 better(struct sn_packet *packet, const struct candidate *first,
				    const struct candidate *second)
{
	if (first->room != second->room && (first->known & second->known)) {
		packet->reason = SN_LB_BY_ROOM;
		return second->room > first->room ? second->backend : first->backend;
	}
	if (first->known & second->known & !first->room) {
		packet->reason = SN_LB_BY_LOAD;
		return second->load < first->load ? second->backend : first->backend;
	}
	if (first->known != second->known) {
		packet->reason = SN_LB_BY_ROOM;
		if (second->known)
			return second->room ? second->backend : first->backend;
		return first->room ? first->backend : second->backend;
	}
	packet->reason = SN_LB_BY_RING;
	return first->backend;
}

/* For a flow that begins: SN_LB_BACKENDS when no candidate takes new ones. */
static __always_inline __u32 place(struct sn_packet *packet, const struct sn_vip *vip, __u64 hash)
{
	struct candidate first = {}, second = {};
	__u32 slot = slot_of(hash);

	for (int attempt = 0; attempt < ATTEMPTS; attempt++, slot = next_slot(slot)) {
		struct sn_pair *pair = pair_at(vip, slot);

		if (!pair)
			break;
		look_at(&first, pair->first, packet->now_ns);
		look_at(&second, pair->second, packet->now_ns);
		if (first.usable & second.usable)
			break;
		packet->reason = SN_LB_ONLY_ONE;
		if (first.usable)
			return first.backend;
		if (second.usable)
			return second.backend;
	}
	if (!(first.usable & second.usable))
		return SN_LB_BACKENDS;
	packet->class_id = sn_class_of(packet);
	ask_room(&first, packet->class_id, packet->now_ns);
	ask_room(&second, packet->class_id, packet->now_ns);
	return better(packet, &first, &second);
}

/* For a flow that may be anywhere: the first candidate that lives, the same on every balancer. */
static __always_inline __u32 first_living(const struct sn_packet *packet, const struct sn_vip *vip, __u64 hash)
{
	__u32 slot = slot_of(hash);

	for (int attempt = 0; attempt < ATTEMPTS; attempt++, slot = next_slot(slot)) {
		struct sn_pair *pair = pair_at(vip, slot);

		if (!pair)
			break;
		if (living(pair->first, packet->now_ns))
			return pair->first;
		if (living(pair->second, packet->now_ns))
			return pair->second;
	}
	return SN_LB_BACKENDS;
}

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

static __always_inline void remember(const struct sn_packet *packet, const struct sn_flow_key *key,
				     const struct sn_lb_route *route)
{
	__u32 backend = route->backend;
	struct sn_backend_state *state = bpf_map_lookup_elem(&sn_lb_states, &backend);
	struct sn_conn conn = {};

	if (!state)
		return;
	conn.last_ns = packet->now_ns;
	conn.generation = state->generation;
	conn.hash = route->hash;
	conn.backend = backend;
	bpf_map_update_elem(&sn_lb_conns, key, &conn, BPF_ANY);
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

	route->backend = place(packet, vip, route->hash);
	if (route->backend == SN_LB_BACKENDS)
		route->backend = first_living(packet, vip, route->hash);
	packet->reason = SN_LB_MOVED;
	state = living(route->backend, packet->now_ns);
	if (!state)
		return;
	conn->backend = route->backend;
	conn->generation = state->generation;
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
	}
	if (!crowded && route->backend < SN_LB_BACKENDS)
		remember(packet, key, route);
}

/* Whether the packet's flow is known, and stays where it was. */
static __always_inline int follows(struct sn_conn *conn, struct sn_packet *packet, const struct sn_vip *vip,
				   struct sn_lb_route *route)
{
	struct sn_backend_state *state;

	if (!conn || is_over(conn, packet, vip))
		return 0;
	route->known = 1;
	conn->last_ns = packet->now_ns;
	if (packet->flags & SN_CLOSES)
		conn->closed = 1;
	state = living(conn->backend, packet->now_ns);
	if (!state || state->generation != conn->generation)
		return 0;
	packet->reason = SN_LB_KNOWN;
	route->backend = conn->backend;
	route->hash = conn->hash;
	return 1;
}

static __always_inline struct sn_conn *conn_of(struct sn_flow_key *key, struct sn_packet *packet, struct sn_vip *vip,
					       struct sn_lb_route *route)
{
	struct sn_conn *conn;

	if (!(vip->flags & SN_VIP_STICKY))
		return route->about || route->known ? bpf_map_lookup_elem(&sn_lb_conns, key) : NULL;
	key->source_port = 0;
	key->destination_port = 0;
	conn = bpf_map_lookup_elem(&sn_lb_conns, key);
	if (route->about)
		return conn;
	follows(conn, packet, vip, route);
	return route->known ? conn : NULL;
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
	conn = conn_of(&key, packet, vip, route);
	if (route->backend < SN_LB_BACKENDS)
		return 1;
	route->hash = hash_of(&key);
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

/* One answer a node and interval: no two CPUs meet here often enough to matter. */
int sn_lb_note_answer(__u32 backend, __u32 seq, __u64 now_ns, __u64 rtt_ns)
{
	struct sn_seen *seen = bpf_map_lookup_elem(&sn_seen, &backend);

	if (!seen)
		return 0;
	seen->last_seen_ns = now_ns;
	seen->rtt_ns = rtt_ns;
	seen->answers++;
	seen->seq = seq;
	return 1;
}

#endif
