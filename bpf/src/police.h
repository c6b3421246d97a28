/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an order asks of a class: its virtual queue passes, marks or drops. Without a live order nothing is touched. */
#ifndef SENTINEL_POLICE_H
#define SENTINEL_POLICE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/ecn.h>
#include <sentinel/stage.h>
#include <sentinel/vqueue.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_order);
} sn_order SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_vqueue);
} sn_vqueues SEC(".maps");

/* Whoever wins the right to this millisecond's step takes it alone. */
static __always_inline void step(struct sn_vqueue *queue, const struct sn_order *order, __u64 delay_ns, __u64 now)
{
	__u64 stepped = queue->stepped_ns, elapsed = now - stepped;

	if (now < stepped + SN_STEP_NS)
		return;
	if (__sync_val_compare_and_swap(&queue->stepped_ns, stepped, now) == stepped)
		sn_pid_step(queue, order, delay_ns, elapsed);
}

static __always_inline int is_full(__u64 delay_ns, const struct sn_order *order)
{
	return delay_ns >= SN_DELAY_MAX_NS || sn_backlog_bytes(delay_ns, order->drain_Bps) >= order->max_bytes;
}

static __always_inline int chosen(const struct sn_vqueue *queue)
{
	return queue->probability && (bpf_get_prandom_u32() & 0xffff) < queue->probability;
}

static __always_inline int signal(struct xdp_md *ctx, struct sn_packet *packet, __u32 flags)
{
	if (packet->ecn == SN_ECN_CE)
		return sn_decided(packet, SN_REASON_PASSED, SN_PASS);
	if ((flags & SN_ORDER_MARK) && packet->ecn != SN_ECN_NONE) {
		sn_mark_ce((void *)(long)ctx->data, (void *)(long)ctx->data_end, packet);
		return sn_decided(packet, SN_REASON_MARKED, SN_PASS);
	}
	if (flags & SN_ORDER_POLICE)
		return sn_decided(packet, SN_REASON_EARLY_DROP, SN_DROP);
	return sn_decided(packet, SN_REASON_PASSED, SN_PASS);
}

static __always_inline int through_queue(struct xdp_md *ctx, struct sn_packet *packet, struct sn_vqueue *queue,
					 const struct sn_order *order)
{
	__u64 now_tick = packet->now_ns * SN_TICKS_PER_NS, drain_Bps = order->drain_Bps, delay_ns;
	int wish = sn_decided(packet, SN_REASON_PASSED, SN_PASS);

	if (!drain_Bps)
		return wish;
	if (queue->drain_Bps != drain_Bps)
		sn_rescale(queue, drain_Bps, now_tick);
	delay_ns = sn_delay_ns(queue, now_tick);
	step(queue, order, delay_ns, packet->now_ns);
	if ((order->flags & SN_ORDER_POLICE) && is_full(delay_ns, order))
		return sn_decided(packet, SN_REASON_OVER_LIMIT, SN_DROP);
	if (chosen(queue))
		wish = signal(ctx, packet, order->flags);
	if (wish == SN_PASS && delay_ns < SN_DELAY_MAX_NS)
		sn_admit(queue, packet->length, drain_Bps, now_tick);
	return wish;
}

__attribute__((always_inline)) int sn_police(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_vqueue *queue;
	struct sn_order *order;
	__u32 class_id;

	if (!packet)
		return SN_PASS;
	class_id = packet->class_id;
	order = bpf_map_lookup_elem(&sn_order, &class_id);
	queue = bpf_map_lookup_elem(&sn_vqueues, &class_id);
	if (!order || !queue || !order->valid_until_ns)
		return sn_decided(packet, SN_REASON_NO_ORDER, SN_PASS);
	if (packet->now_ns >= order->valid_until_ns)
		return sn_decided(packet, SN_REASON_LEASE_OVER, SN_PASS);
	return through_queue(ctx, packet, queue, order);
}

int sn_live_flags(__u32 class_id, __u64 now_ns)
{
	struct sn_order *order = bpf_map_lookup_elem(&sn_order, &class_id);

	return order && now_ns < order->valid_until_ns ? order->flags : 0;
}

#endif
