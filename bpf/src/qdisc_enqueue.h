/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet's way into the queue: its class, whether there is room, and a place in the line. */
#ifndef SENTINEL_QDISC_ENQUEUE_H
#define SENTINEL_QDISC_ENQUEUE_H

#include "qdisc_places.h"

#define POOL_MOST (64ull << 20) /* bytes: whatever a map says, a queue takes no more of the node's memory */

/*
 * What comes in carries the class in its stamp: behind the ifb its priority is still its own, for IPv6 and bridges hand
 * that on to the next device's queue. On the way out here is the end of it, and it is the priority that says the class.
 */
static __always_inline __u32 said_class(const struct sk_buff *skb)
{
	const struct sn_stamp *stamp = (const void *)((const struct qdisc_skb_cb *)skb->cb)->data;

	if (stamp->magic == SN_META_MAGIC)
		return stamp->class_id;
	return skb->priority >> 16 == SN_QUEUE_MAJOR ? (skb->priority & 0xffff) - SN_QUEUE_MINOR : SN_CLASSES;
}

static __always_inline __u32 class_of(const struct sk_buff *skb, __u32 slot)
{
	__u32 class_id = said_class(skb);
	struct sn_share *share;

	if (class_id >= SN_CLASSES)
		return SN_UNMATCHED;
	share = share_of(slot, class_id);
	return share && share->quantum_bytes ? class_id : SN_UNMATCHED;
}

static __always_inline __u64 pool_of(__u32 slot)
{
	struct sn_drain *drain = bpf_map_lookup_elem(&sn_drains, &slot);

	return drain && drain->pool_bytes && drain->pool_bytes < POOL_MOST ? drain->pool_bytes : POOL_MOST;
}

static __always_inline void count_drop(__u32 slot, __u32 class_id, __u32 bytes)
{
	struct sn_queue *told = told_of(slot, class_id);

	if (!told)
		return;
	told->drops++;
	told->drop_bytes += bytes;
}

SEC("struct_ops/sn_enqueue")
int BPF_PROG(sn_enqueue, struct sk_buff *skb, struct Qdisc *queue, struct bpf_sk_buff_ptr *to_free)
{
	__u32 slot = slot_of(queue), bytes = packet_bytes(skb), class_id = class_of(skb, slot), number;
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, &slot);
	__u64 now = bpf_ktime_get_ns(), limit;
	struct place *place;
	struct line *line;

	if (!bank || class_id >= SN_CLASSES)
		goto refuse;
	line = &bank->line[class_id];
	limit = limit_of(slot, class_id, now);
	place = free_place(bank, slot, &number);
	publish(slot, class_id, line, limit, now);
	if (!place || line->bytes >= limit || bank->bytes >= pool_of(slot))
		goto refuse;
	skb = bpf_kptr_xchg(&place->skb, skb);
	if (skb)
		bpf_qdisc_skb_drop(skb, to_free); /* cannot be: a free place is empty */
	place->arrived_ns = now;
	place->bytes = bytes;
	settle(bank, line, class_id, slot, number, place);
	publish(slot, class_id, line, limit, now);
	queue->q.qlen++;
	queue->qstats.backlog += bytes;
	return NET_XMIT_SUCCESS;
refuse:
	count_drop(slot, class_id, bytes);
	queue->qstats.drops++;
	bpf_qdisc_skb_drop(skb, to_free);
	return NET_XMIT_DROP;
}

#endif
