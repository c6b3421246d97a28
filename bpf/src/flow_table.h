/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow table itself, and what enters it. Part of track.h. */
#ifndef SENTINEL_FLOW_TABLE_H
#define SENTINEL_FLOW_TABLE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/stage.h>

#define NS_PER_S 1000000000ull
#define EEXIST 17

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct sn_flow_key);
	__type(value, struct sn_flow);
} sn_flows SEC(".maps");

/* Sized at load for the CPUs there are. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_flow_sums);
} sn_flow_sums SEC(".maps");

/* Another CPU may have entered the same flow meanwhile (EEXIST): its entry serves both. */
static __always_inline void enter(const struct sn_packet *packet, const struct sn_flow *flow)
{
	struct sn_flow_key key = packet->key; /* before 6.3 a key must lie on the stack */
	long failed = bpf_map_update_elem(&sn_flows, &key, flow, BPF_NOEXIST);
	__u32 index = packet->cpu;
	struct sn_flow_sums *sums = bpf_map_lookup_elem(&sn_flow_sums, &index);

	if (!sums)
		return;
	if (!failed)
		sums->entered++;
	else if (failed != -EEXIST)
		sums->refused++;
}

static __always_inline void reverse(struct sn_flow_key *to, const struct sn_flow_key *from)
{
	*to = *from;
	__builtin_memcpy(to->source, from->destination, sizeof(to->source));
	__builtin_memcpy(to->destination, from->source, sizeof(to->destination));
	to->source_port = from->destination_port;
	to->destination_port = from->source_port;
}

#endif
