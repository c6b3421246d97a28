/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is reckoned of a flow when a pane of its window ends: throughput, BDP, the biggest, its source. Part of track.h. */
#ifndef SENTINEL_PANE_H
#define SENTINEL_PANE_H

#include "flow_table.h"

const volatile __u64 sn_pane_ns = 50000000;
const volatile __u32 sn_sources_on = 1;
const volatile __u32 sn_top_on = 1;
/* Packets that a flow tells its source of at once: a power of two. With 1 a source's count and rate are exact. */
const volatile __u32 sn_told_at_once = 32;

#define MAX_THROUGHPUT (1ull << 38) /* times MAX_RTT in microseconds stays within 64 bits */
#define PANE_BYTES_MAX (1ull << 34) /* times NS_PER_S stays within 64 bits */
#define REPORT_MS 200

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_TOP_SLOTS);
	__type(key, __u32);
	__type(value, struct sn_top_flow);
} sn_top SEC(".maps");

/* The first of the slots that a flow may have. */
static __always_inline __u32 slots_of(const struct sn_flow_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 mixed = (words[0] ^ words[2]) * 3 + (words[1] ^ (words[3] << 1)) + words[4];

	return (mixed * 0x9e3779b97f4a7c15ull >> 32) % (SN_TOP_SLOTS / SN_TOP_WAYS) * SN_TOP_WAYS;
}

static __always_inline int same(const struct sn_flow_key *one, const struct sn_flow_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4];
}

/* Its own slot where it has one, else that of the smallest among those it may have; who fell silent has no size. */
static __always_inline void enter_top(const struct sn_flow *flow, const struct sn_packet *packet)
{
	__u32 first = packet->cpu * SN_TOP_SLOTS + slots_of(&packet->key);
	struct sn_top_flow *smallest = 0;
	__u64 least = 0;

	for (__u32 way = 0; way < SN_TOP_WAYS; way++) {
		__u32 index = first + way;
		struct sn_top_flow *top = bpf_map_lookup_elem(&sn_top, &index);
		__u64 size;

		if (!top)
			return;
		size = packet->now_ns - top->seen_ns < NS_PER_S ? top->throughput_Bps : 0;
		if (same(&top->key, &packet->key)) {
			smallest = top;
			least = 0;
			break;
		}
		if (!smallest || size < least) {
			smallest = top;
			least = size;
		}
	}
	if (!smallest || flow->throughput_Bps < least)
		return;
	smallest->key = packet->key;
	smallest->throughput_Bps = flow->throughput_Bps;
	smallest->seen_ns = packet->now_ns;
	smallest->class_id = flow->class_id;
}

static __always_inline __u64 capped(__u64 value, __u64 most)
{
	return value > most ? most : value;
}

static __always_inline __u32 in_ms(__u64 ns)
{
	return ns >> 20;
}

/*
 * A flow tells its source of its packets each time their number is a power of two, and from sn_told_at_once on by so many:
 * one that falls silent without an end has told of more than half of them, and leaves fewer than that untold.
 */
static __always_inline int tells(__u64 packets)
{
	return !(packets & (packets < sn_told_at_once ? packets - 1 : sn_told_at_once - 1));
}

static __always_inline void report(struct sn_flow *flow, struct sn_packet *packet)
{
	sn_blame(packet, (__u32)flow->packets - flow->reported_packets);
	flow->reported_packets = flow->packets;
	flow->reported_ms = in_ms(packet->now_ns);
}

/* A pane is over: reckon the throughput over it and the one before, and what follows from that. */
static __always_inline void turn_pane(struct sn_flow *flow, struct sn_packet *packet)
{
	__u64 now = packet->now_ns;
	__u64 before = flow->bytes - packet->length;
	__u64 bytes = capped(before - flow->previous_from_bytes, PANE_BYTES_MAX);

	flow->throughput_Bps = capped(bytes * NS_PER_S / (now - flow->previous_ns), MAX_THROUGHPUT);
	flow->previous_ns = flow->pane_ns;
	flow->previous_from_bytes = flow->pane_from_bytes;
	flow->pane_ns = now;
	flow->pane_from_bytes = before;
	flow->bdp_bytes = flow->throughput_Bps * flow->rtt_us / 1000000;
	flow->optimal_bytes = flow->bdp_bytes * 9 / 5;
	if (sn_top_on)
		enter_top(flow, packet);
	if (sn_sources_on && (tells(flow->packets) || in_ms(now) - flow->reported_ms >= REPORT_MS))
		report(flow, packet);
}

#endif
