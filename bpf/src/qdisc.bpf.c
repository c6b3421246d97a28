// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tier A of the buffer: a queueing discipline whose limits are read from mapped memory at each packet, so that a resize
 * is one store. A limit is asked only of arrivals: what stands in the queue is sent, whatever becomes of the limit.
 *
 *   arrival ── class ──┬─ backlog >= limit, or pool used up ── refused
 *                      └─ a place of the pool ── line of its class ──┐
 *   watchdog ── link free? ── deficit round robin over the lines <───┘── out
 *
 * All classes take their places from one pool; a line is a list of indices into it, so that nothing is allocated for a
 * packet and user space cannot reach the chain. The device's queue lock covers every call but init and destroy.
 */
#include "qdisc_dequeue.h"
#include "qdisc_enqueue.h"

#define EBUSY 16
#define ENODEV 19

SEC("struct_ops/sn_init")
int BPF_PROG(sn_init, struct Qdisc *queue, struct nlattr *options, struct netlink_ext_ack *extack)
{
	struct net_device *device = queue->dev_queue->dev;
	struct sn_spot spot = {
		.netns = device->nd_net.net->ns.inum, .ifindex = device->ifindex, .parent = queue->parent};
	__u32 *slot = bpf_map_lookup_elem(&sn_slots, &spot);
	struct sn_bank *bank = slot ? bpf_map_lookup_elem(&sn_banks, slot) : 0;

	if (!bank)
		return -ENODEV;
	if (bank->taken)
		return -EBUSY;
	bank->taken = 1;
	bank->spare = NO_PLACE;
	bank->fresh = 0;
	queue->limit = *slot + 1;
	return 0;
}

static long drop_one(__u32 step, __u32 *slot)
{
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, slot);
	struct sk_buff *skb;
	struct place *place;

	if (!bank)
		return 1;
	for (__u32 class_id = 0; class_id < SN_CLASSES; class_id++) {
		if (!(bank->waiting >> class_id & 1))
			continue;
		place = leave(bank, &bank->line[class_id], class_id, *slot);
		skb = place ? bpf_kptr_xchg(&place->skb, 0) : 0;
		if (skb)
			bpf_kfree_skb(skb);
		return 0;
	}
	return 1;
}

/* The device goes down or the queue is taken away: all that waits is let go, by order of the kernel. */
SEC("struct_ops/sn_reset")
void BPF_PROG(sn_reset, struct Qdisc *queue)
{
	__u32 slot = slot_of(queue);
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, &slot);

	if (!bank)
		return;
	bpf_loop(SN_QDISC_PLACES + 1, drop_one, &slot, 0);
	bank->free_ns = 0;
	for (__u32 class_id = 0; class_id < SN_CLASSES; class_id++) {
		struct line *line = &bank->line[class_id];

		line->free_ns = 0;
		line->deficit = 0;
		publish(slot, class_id, line, 0, 0);
	}
	queue->q.qlen = 0;
	queue->qstats.backlog = 0;
}

/* Also called for a queue whose init failed: that one has no slot. */
SEC("struct_ops/sn_destroy")
void BPF_PROG(sn_destroy, struct Qdisc *queue)
{
	__u32 slot = slot_of(queue);
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, &slot);

	if (bank)
		bank->taken = 0;
}

/* The name can be registered only once, so the discipline of another version needs another. */
_Static_assert(SN_QDISC_VERSION == 2, "the id below ends in the version");

SEC(".struct_ops")
struct Qdisc_ops sn_buffer = {
	.enqueue = (void *)sn_enqueue,
	.dequeue = (void *)sn_dequeue,
	.init = (void *)sn_init,
	.reset = (void *)sn_reset,
	.destroy = (void *)sn_destroy,
	.id = "sn_buffer2",
};

/* The compiler describes a type only when something has it: an inner map's value too, or libbpf finds no size for it. */
union sn_inner_types {
	struct sn_order order;
	struct sn_queue queue;
};
const volatile union sn_inner_types sn_inner_types = {};
const volatile enum sn_qdisc_const sn_qdisc_consts = SN_QDISC_SLOTS;
const volatile enum sn_queue_const sn_queue_consts = SN_QUEUE_MAJOR;
