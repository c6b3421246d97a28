/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the balancer remembers of flows: those that talk, those that only began, and when any may have come from elsewhere. */
#ifndef SENTINEL_LB_MEMORY_H
#define SENTINEL_LB_MEMORY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

#include "lb_life.h"

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

/* UDP has no packet that tells a beginning from a middle: only the time tells how likely it is that a flow moved here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_lb_doubt);
} sn_lb_doubt SEC(".maps");

#define MET_SHIFT 27 /* of sn_conn.met */

static __always_inline int in_doubt(__u64 now, __u16 met)
{
	__u32 zero = 0;
	struct sn_lb_doubt *doubt = bpf_map_lookup_elem(&sn_lb_doubt, &zero);

	if (!doubt || now >= doubt->until_ns)
		return 0;
	return (__u16)((__u16)(now >> MET_SHIFT) - met) <= age(now, doubt->from_ns) >> MET_SHIFT;
}

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
	conn.met = packet->now_ns >> MET_SHIFT;
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

#endif
