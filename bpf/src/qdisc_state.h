/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tier A's memory: what user space says and reads, what stands in the queues, and which of it counts. */
#ifndef SENTINEL_QDISC_STATE_H
#define SENTINEL_QDISC_STATE_H

#include <sentinel/kernel_qdisc.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include <sentinel/qdisc.h>
#include <sentinel/queue.h>

#define LIMIT_UNSAID (256ull << 10) /* of a class for which neither limit was said */

struct place {
	struct sk_buff __kptr *skb;
	__u64 arrived_ns;
	__u32 next;
	__u32 bytes;
};

struct line {
	__u64 free_ns; /* when its ceiling lets the next packet go */
	__u64 bytes;
	__u32 packets;
	__u32 first;
	__u32 last;
	__u32 first_bytes;
	__u64 deficit;
};

/* A queue's own state, out of reach of user space but for looking at it. */
struct sn_bank {
	__u64 free_ns; /* when the link is free */
	__u64 bytes;
	__u32 taken; /* a discipline lives here */
	__u32 spare; /* first of the places given back */
	__u32 fresh; /* places never used so far */
	__u32 turn; /* the class whose turn it is */
	__u32 waiting; /* a bit for each class that has packets */
	__u32 _pad;
	struct line line[SN_CLASSES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SN_QDISC_SLOTS *SN_QDISC_PLACES);
	__type(key, __u32);
	__type(value, struct place);
} sn_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, __u32);
	__type(value, struct sn_bank);
} sn_banks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, struct sn_spot);
	__type(value, __u32);
} sn_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_QDISC_SLOTS *SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_share);
} sn_shares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, __u32);
	__type(value, struct sn_drain);
} sn_drains SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_QDISC_SLOTS *SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_sojourn);
} sn_waits SEC(".maps");

struct orders {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_order);
};

/* The orders of the agent that steers each slot: its lease is theirs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, __u32);
	__array(values, struct orders);
} sn_orders SEC(".maps");

struct backlog {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_queue);
};

/* That agent's sn_backlog, by which its egress program marks. Only published to: no decision here depends on it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, __u32);
	__array(values, struct backlog);
} sn_backlogs SEC(".maps");

static __always_inline __u32 packet_bytes(const struct sk_buff *skb)
{
	return ((const struct qdisc_skb_cb *)skb->cb)->pkt_len;
}

/* The slot lives in Qdisc.limit, one up: the kernel gives a discipline no memory of its own, and uses that field not. */
static __always_inline __u32 slot_of(const struct Qdisc *queue)
{
	return queue->limit - 1;
}

static __always_inline struct sn_share *share_of(__u32 slot, __u32 class_id)
{
	__u32 index = slot * SN_CLASSES + class_id;

	return bpf_map_lookup_elem(&sn_shares, &index);
}

static __always_inline __u64 limit_of(__u32 slot, __u32 class_id, __u64 now)
{
	struct sn_share *share = share_of(slot, class_id);
	void *orders = bpf_map_lookup_elem(&sn_orders, &slot);
	struct sn_order *order = orders ? bpf_map_lookup_elem(orders, &class_id) : 0;
	__u64 limit = 0;

	if (!share)
		return LIMIT_UNSAID;
	if (order && now < order->valid_until_ns)
		limit = share->limit_bytes;
	if (!limit)
		limit = share->static_limit_bytes;
	return limit ? limit : LIMIT_UNSAID;
}

static __always_inline struct sn_queue *told_of(__u32 slot, __u32 class_id)
{
	void *backlog = bpf_map_lookup_elem(&sn_backlogs, &slot);

	return backlog ? bpf_map_lookup_elem(backlog, &class_id) : 0;
}

static __always_inline void publish(__u32 slot, __u32 class_id, const struct line *line, __u64 limit, __u64 now)
{
	struct sn_queue *told = told_of(slot, class_id);

	if (!told)
		return;
	told->backlog_bytes = line->bytes;
	told->backlog_packets = line->packets;
	told->limit_bytes = limit;
	told->seen_ns = now;
}

#endif
