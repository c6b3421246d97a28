// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The way out, at tcx egress (a cls_bpf filter before 6.6): class, mark by the backlog of the queue behind us, rate of
 * the class, and its place in that queue where the queue is ours: with or without a live order, for a queue on the way
 * out is not bypassed. A packet that may go on is never decided for others: TC_ACT_UNSPEC hands it to the next program.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/ecn.h>
#include <sentinel/qos.h>
#include <sentinel/queue.h>
#include <sentinel/stage.h>
#include <sentinel/vqueue.h>

#define HEADERS 128 /* enough for tags, IPv6 and TCP with all options; deeper ones are parsed where they are linear */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_qos);
} sn_qos SEC(".maps");

/* The token bucket of each class: a virtual queue of which burst_bytes may stand. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_vqueue);
} sn_buckets SEC(".maps");

/* Written by whoever owns the queue: the qdisc (tier A) or the agent (tier B). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_queue);
} sn_backlog SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_out_cell);
} sn_out_cells SEC(".maps");

/* Takes the packet's bytes out of the bucket, or says that it is empty. */
static __always_inline int over_rate(const struct sn_qos *qos, __u32 class_id, const struct sn_packet *packet)
{
	struct sn_vqueue *bucket = bpf_map_lookup_elem(&sn_buckets, &class_id);
	__u64 rate_Bps = qos->rate_Bps, now_tick = packet->now_ns * SN_TICKS_PER_NS, delay_ns;

	if (!bucket || !rate_Bps)
		return 0;
	if (bucket->drain_Bps != rate_Bps)
		sn_rescale(bucket, rate_Bps, now_tick);
	delay_ns = sn_delay_ns(bucket, now_tick);
	if (delay_ns >= SN_DELAY_MAX_NS || sn_backlog_bytes(delay_ns, rate_Bps) >= qos->burst_bytes)
		return 1;
	sn_admit(bucket, packet->length, rate_Bps, now_tick);
	return 0;
}

static __always_inline int congested(const struct sn_qos *qos, __u32 class_id)
{
	struct sn_queue *queue = bpf_map_lookup_elem(&sn_backlog, &class_id);

	return queue && qos->mark_above_bytes && queue->backlog_bytes >= qos->mark_above_bytes;
}

static __always_inline enum sn_reason decide(struct __sk_buff *skb, struct sn_packet *packet)
{
	__u32 class_id = packet->class_id;
	struct sn_qos *qos = bpf_map_lookup_elem(&sn_qos, &class_id);

	if (!qos || packet->now_ns >= qos->valid_until_ns)
		return SN_REASON_EGRESS_PASSED;
	if (over_rate(qos, class_id, packet))
		return SN_REASON_EGRESS_OVER_RATE;
	if (packet->ecn != SN_ECN_NONE && packet->ecn != SN_ECN_CE && congested(qos, class_id) &&
	    bpf_skb_ecn_set_ce(skb))
		return SN_REASON_EGRESS_MARKED;
	return SN_REASON_EGRESS_PASSED;
}

static __always_inline void count(const struct sn_packet *packet)
{
	__u32 index = packet->cpu * SN_CLASSES + packet->class_id;
	struct sn_out_cell *cell = bpf_map_lookup_elem(&sn_out_cells, &index);

	if (!cell)
		return;
	cell->packets++;
	cell->bytes += packet->length;
	cell->last_seen_ns = packet->now_ns;
	if (packet->reason == SN_REASON_EGRESS_MARKED)
		cell->marks++;
	if (packet->reason == SN_REASON_EGRESS_OVER_RATE) {
		cell->drops++;
		cell->drop_bytes += packet->length;
	}
}

/*
 * To ask for headers in one piece copies what TCP keeps for a retransmission, and where the packet holds more than them,
 * part of its data too. So it is asked only for what could not be read: a stack's own packets are in one piece anyway.
 */
static __always_inline enum sn_outcome parse(struct __sk_buff *skb, struct sn_packet *packet)
{
	struct sn_packet afresh = {.now_ns = packet->now_ns, .cpu = packet->cpu};
	__u32 wanted = skb->len < HEADERS ? skb->len : HEADERS;
	enum sn_outcome outcome = sn_parse_skb(skb, packet);

	if (outcome != SN_MALFORMED || skb->data_end - skb->data >= wanted || bpf_skb_pull_data(skb, wanted))
		return outcome;
	*packet = afresh;
	return sn_parse_skb(skb, packet);
}

SEC("tc")
int sn_egress(struct __sk_buff *skb)
{
	struct sn_packet packet = {};
	int wish = SN_PASS;

	packet.now_ns = bpf_ktime_get_ns();
	packet.cpu = bpf_get_smp_processor_id();
	if (parse(skb, &packet) == SN_FOUND) {
		packet.class_id = sn_answered(&packet);
		packet.reason = decide(skb, &packet);
		count(&packet);
		wish = packet.reason == SN_REASON_EGRESS_OVER_RATE ? SN_DROP : SN_PASS;
	} else {
		packet.reason = SN_REASON_EGRESS_UNKNOWN;
	}
	sn_conclude(&packet, wish);
	if (wish == SN_DROP)
		return TC_ACT_SHOT;
	if (sn_queue_on(skb->ifindex))
		sn_enter_queue(skb, packet.class_id, packet.now_ns);
	return TC_ACT_UNSPEC;
}
