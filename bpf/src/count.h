/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tick reads: counters and shapes of each class, and one reason for each packet; one writer a cell. */
#ifndef SENTINEL_COUNT_H
#define SENTINEL_COUNT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/reason.h>
#include <sentinel/stage.h>

const volatile __u32 sn_shapes_on = 1;

/* Sized at load for the CPUs there are; a CPU beyond goes uncounted, never wrong. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_cell);
} sn_cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_shape);
} sn_shapes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_REASONS);
	__type(key, __u32);
	__type(value, struct sn_reason_cell);
} sn_reasons SEC(".maps");

static __always_inline __u32 log2_of(__u64 value)
{
	__u32 result = 0;

#pragma unroll
	for (int step = 32; step; step >>= 1)
		if (value >> (result + step))
			result += step;
	return result;
}

static __always_inline __u32 log2_of_size(__u32 value)
{
	__u32 result = 0;

#pragma unroll
	for (int step = 8; step; step >>= 1)
		if (value >> (result + step))
			result += step;
	return result;
}

static __always_inline void count_shape(const struct sn_packet *packet, __u32 index, __u64 last_ns)
{
	struct sn_shape *shape = bpf_map_lookup_elem(&sn_shapes, &index);
	__u32 bucket;

	if (!shape)
		return;
	bucket = packet->length >> SN_SIZE_BUCKETS ? SN_SIZE_BUCKETS - 1 : log2_of_size(packet->length);
	shape->size[bucket & (SN_SIZE_BUCKETS - 1)]++;
	if (!last_ns || packet->now_ns < last_ns)
		return;
	bucket = log2_of(packet->now_ns - last_ns);
	if (bucket >= SN_GAP_BUCKETS)
		bucket = SN_GAP_BUCKETS - 1;
	shape->gap[bucket & (SN_GAP_BUCKETS - 1)]++;
}

static __always_inline void count_class(const struct sn_packet *packet, __u32 wish)
{
	__u32 index = packet->cpu * SN_CLASSES + packet->class_id;
	struct sn_cell *cell = bpf_map_lookup_elem(&sn_cells, &index);
	__u64 last_ns;

	if (!cell)
		return;
	cell->packets++;
	cell->bytes += packet->length;
	last_ns = cell->last_seen_ns;
	cell->last_seen_ns = packet->now_ns;
	if (packet->flags & (SN_NEW_FLOW | SN_SYN | SN_FRAGMENT | SN_CLOSES)) {
		cell->new_flows += !!(packet->flags & SN_NEW_FLOW);
		cell->syns += !!(packet->flags & SN_SYN);
		cell->fragments += !!(packet->flags & SN_FRAGMENT);
		cell->closes += !!(packet->flags & SN_CLOSES);
	}
	if (packet->reason == SN_REASON_MARKED) {
		cell->marks++;
	} else if (packet->reason == SN_REASON_LEASE_OVER) {
		cell->lease_over++;
	} else if (wish == SN_DROP) {
		cell->drops++;
		cell->drop_bytes += packet->length;
	}
	if (sn_shapes_on)
		count_shape(packet, index, last_ns);
}

/* Foreign packets are counted and policed as all others, and their reason is that of one that passed unmarked. */
static __always_inline __u32 reason_of(const struct sn_packet *packet, __u32 wish)
{
	if (packet->foreign && wish == SN_PASS && packet->reason != SN_REASON_MARKED)
		return packet->foreign;
	return packet->reason;
}

__attribute__((always_inline)) int sn_conclude(struct sn_packet *packet, __u32 wish)
{
	struct sn_reason_cell *cell;
	__u32 index;

	if (!packet)
		return 0;
	if (packet->flags & SN_CLASSIFIED)
		count_class(packet, wish);
	index = packet->cpu * SN_REASONS + reason_of(packet, wish);
	cell = bpf_map_lookup_elem(&sn_reasons, &index);
	if (cell)
		cell->packets++;
	return 0;
}

#endif
