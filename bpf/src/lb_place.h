/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a flow belongs: its slot in the ring, the two candidates there, and which of them its lot falls to by room. */
#ifndef SENTINEL_LB_PLACE_H
#define SENTINEL_LB_PLACE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

#include "lb_life.h"

const volatile __u64 sn_lb_seed = 0; /* of the flow hash: the same on all balancers of a VIP */
const volatile __u64 sn_ready_age_ns = SN_READY_MAX_AGE_MS * 1000000ull;

#define ATTEMPTS 4
#define STEP 24593 /* to a slot with other candidates when both of one are of no use */
#define LOT_BITS 16
#define ROOM_MOST (1ull << (63 - LOT_BITS)) /* more is as good */

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
	__uint(max_entries, SN_LB_BACKENDS *SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_ready);
} sn_ready SEC(".maps");

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

/* Bits of the hash that the slot leaves over: another balancer draws the same. */
static __always_inline __u64 lot_of(__u64 hash)
{
	return hash >> 32 & ((1 << LOT_BITS) - 1);
}

/*
 * Of both orders of two nodes together each gets flows by the square of its room, and no more flows than that needs
 * leave the ring's first: with equal rooms none. If all went to the larger, a little more room would draw every flow
 * until the next report.
 */
static __always_inline int falls_to_second(__u64 first, __u64 second, __u64 hash)
{
	const __u64 one = 1ull << 2 * LOT_BITS;
	__u64 ratio;

	first = first < ROOM_MOST ? first : ROOM_MOST;
	second = second < ROOM_MOST ? second : ROOM_MOST;
	if (second <= first)
		return 0;
	ratio = (first << LOT_BITS) / second;
	return lot_of(hash) * (one + ratio * ratio) < (one - ratio * ratio) << LOT_BITS;
}

/* Room that is known beats room that is not, and that beats none. Equals stay with the ring. */
static __always_inline __u32 better(struct sn_packet *packet, const struct candidate *first,
				    const struct candidate *second, __u64 hash)
{
	if (first->room != second->room && (first->known & second->known)) {
		packet->reason = SN_LB_BY_ROOM;
		return falls_to_second(first->room, second->room, hash) ? second->backend : first->backend;
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
static __always_inline __u32 place(struct sn_packet *packet, const struct sn_vip *vip, const struct sn_lb_route *route)
{
	struct candidate first = {}, second = {};
	__u32 slot = slot_of(route->hash);

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
	return better(packet, &first, &second, route->hash);
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

#endif
