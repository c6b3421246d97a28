// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The agent's XDP entry: parse, walk the stages, return one verdict, and count why. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/stage.h>

/* The stages that every packet passes are in line; others call what they need of them (sn_conclude, sn_answered…). */
#include "answer.h"
#include "count.h"
#include "police.h"
#include "track.h"

#define FIRST_FRAGMENT 1024 /* fewer bytes are a whole frame; to ask for the length of all is a call */

const volatile __u32 sn_tunnels_on = 0;
const volatile __u32 sn_probes_on = 0;
const volatile __u32 sn_flows_on = 1;
const volatile __u32 sn_police_on = 1;
const volatile __u32 sn_meta_on = 1;

/* Where the driver leaves no room for metadata the packet goes on as unmatched. */
static __always_inline void hand_on(struct xdp_md *ctx, const struct sn_packet *packet)
{
	struct sn_meta *meta;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return;
	meta->magic = SN_META_MAGIC;
	meta->class_id = packet->class_id;
}

/* Jumbo frames come in fragments, of which the first holds the headers and is filled before there is a second. */
static __always_inline enum sn_outcome parse(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	struct sn_packet afresh = {.now_ns = packet->now_ns, .cpu = packet->cpu};
	enum sn_outcome outcome;

	span.length = span.end - span.data;
	if (span.length >= FIRST_FRAGMENT)
		span.length = bpf_xdp_get_buff_len(ctx);
	outcome = sn_parse_span(&span, packet);
	/* A driver with smaller ones is found out by the packet that is too short for its headers. */
	if (outcome != SN_MALFORMED || bpf_xdp_get_buff_len(ctx) == span.length)
		return outcome;
	*packet = afresh;
	return sn_parse_xdp(ctx, packet);
}

static __always_inline int may_be_tunnel(const struct sn_packet *packet)
{
	return packet->key.protocol == IPPROTO_UDP || packet->key.protocol == IPPROTO_IPIP ||
	       packet->key.protocol == IPPROTO_IPV6;
}

/* What has one tunnel more inside is the stack's, unless our balancer made it so; without a flow table all are ours. */
static __always_inline int second_tunnel(struct xdp_md *ctx, struct sn_packet *packet)
{
	switch (sn_whose(ctx, packet)) {
	case SN_NO_FLOW:
		return SN_CONTINUE;
	case SN_OURS:
		return sn_decapsulate(ctx, packet);
	default:
		return sn_flows_on ? sn_pass_on(ctx, packet) : sn_decapsulate(ctx, packet);
	}
}

/*
 * A call costs a few nanoseconds where returns are guarded (8 ns with Safe RET): what every packet needs is in line,
 * and what few need is called for those alone.
 */
static __always_inline int handle(struct xdp_md *ctx, struct sn_packet *packet)
{
	int wish = SN_PASS;

	if (parse(ctx, packet) != SN_FOUND)
		return SN_PASS;
	if (sn_tunnels_on && may_be_tunnel(packet)) {
		wish = sn_decapsulate(ctx, packet);
		if (wish == SN_CONTINUE && (packet->flags & SN_TWICE))
			wish = second_tunnel(ctx, packet);
		if (wish != SN_CONTINUE)
			return wish;
	}
	if (sn_probes_on && packet->key.destination_port == bpf_htons(SN_PROBE_PORT)) {
		wish = sn_answer(ctx, packet);
		if (wish != SN_CONTINUE)
			return wish;
	}
	packet->class_id = sn_flows_on ? sn_track(packet) : sn_class_of(packet);
	packet->flags |= SN_CLASSIFIED;
	wish = sn_police_on ? sn_police(ctx, packet) : SN_PASS;
	if (wish == SN_PASS && sn_meta_on)
		hand_on(ctx, packet);
	return wish;
}

SEC("xdp.frags")
int sn_ingress(struct xdp_md *ctx)
{
	struct sn_packet packet = {};
	int wish;

	packet.now_ns = bpf_ktime_get_ns();
	packet.cpu = bpf_get_smp_processor_id();
	wish = handle(ctx, &packet);
	sn_conclude(&packet, wish);
	return sn_xdp_action(wish);
}
