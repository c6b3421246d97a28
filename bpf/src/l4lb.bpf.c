// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The balancer's XDP entry: is it for a VIP, which backend, send it there, and count why. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

/* In line, as a call costs 8 ns where returns are guarded; what few packets need is called for those alone. */
#include "lb_choose.h"
#include "lb_clock.h"
#include "lb_send.h"
#include "lb_vips.h"

#define FIRST_FRAGMENT 1024 /* fewer bytes are a whole frame; to ask for the length of all is a call */

/* The compiler describes an enumeration in BTF only when something has its type. */
const volatile enum sn_lb_reason sn_lb_reason_types = SN_LB_KNOWN;
const volatile enum sn_lb_const sn_lb_consts = SN_LB_SLOTS;
const volatile enum sn_vip_flag sn_vip_flags = SN_VIP_STICKY;
const volatile enum sn_backend_flag sn_backend_flags = SN_BACKEND_PRESENT;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_lb_own);
} sn_lb_own SEC(".maps");

/* Sized at load for the CPUs there are, like the two below: a CPU beyond goes uncounted, never wrong. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_VIPS);
	__type(key, __u32);
	__type(value, struct sn_lb_cell);
} sn_lb_by_vip SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_BACKENDS);
	__type(key, __u32);
	__type(value, struct sn_lb_cell);
} sn_lb_by_node SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_REASONS);
	__type(key, __u32);
	__type(value, struct sn_reason_cell);
} sn_lb_reasons SEC(".maps");

static __always_inline void count_cell(struct sn_lb_cell *cell, const struct sn_packet *packet, int sent, int opens)
{
	if (!cell)
		return;
	if (!sent) {
		cell->refused++;
		return;
	}
	cell->packets++;
	cell->bytes += packet->length;
	cell->new_flows += opens;
}

static __always_inline void count(const struct sn_packet *packet, const struct sn_vip *vip,
				  const struct sn_lb_route *route, int sent)
{
	__u32 index = packet->cpu * SN_LB_VIPS + vip->index;

	count_cell(bpf_map_lookup_elem(&sn_lb_by_vip, &index), packet, sent, route->opens);
	if (route->backend >= SN_LB_BACKENDS)
		return;
	index = packet->cpu * SN_LB_BACKENDS + route->backend;
	count_cell(bpf_map_lookup_elem(&sn_lb_by_node, &index), packet, sent, route->opens);
}

static __always_inline void count_reason(const struct sn_packet *packet)
{
	__u32 index = packet->cpu * SN_LB_REASONS + packet->reason;
	struct sn_reason_cell *cell = bpf_map_lookup_elem(&sn_lb_reasons, &index);

	if (cell)
		cell->packets++;
}

/* Jumbo frames come in fragments, of which the first holds the headers. */
static __always_inline enum sn_outcome parse(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};

	span.length = span.end - span.data;
	if (span.length >= FIRST_FRAGMENT)
		span.length = bpf_xdp_get_buff_len(ctx);
	return sn_parse_span(&span, packet);
}

static __always_inline int is_icmp(const struct sn_packet *packet)
{
	return packet->key.protocol == IPPROTO_ICMP || packet->key.protocol == IPPROTO_ICMPV6;
}

static __always_inline int balance(struct xdp_md *ctx, struct sn_packet *packet, __u64 changes)
{
	struct sn_lb_route route = {.backend = SN_LB_BACKENDS};
	struct sn_vip *vip;
	int wish = SN_DROP;

	if (is_icmp(packet))
		route.about = sn_lb_inner(ctx, packet);
	vip = vip_of(packet, changes);
	if (!vip) {
		packet->reason = SN_LB_NO_VIP;
		return SN_PASS;
	}
	if (choose(packet, vip, &route))
		wish = route.unsure ? sn_lb_send_unsure(ctx, packet, &route) : send_on(ctx, packet, &route);
	count(packet, vip, &route, wish == SN_REFLECT && packet->reason != SN_LB_TOO_BIG);
	return wish;
}

/*
 * What a switch floods, or a card brings that listens to everything, is for another host; what is for everybody is the
 * stack's. Of what has no Ethernet header the parser knows.
 */
static __always_inline int is_ours(struct xdp_md *ctx, const struct sn_lb_own *own)
{
	const __u64 *frame = (void *)(long)ctx->data;
	const __u64 several = bpf_cpu_to_be64(1ull << 56), address = bpf_cpu_to_be64(~0ull << 16);

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return 1;
	return !(*frame & several) && (!own->mac || !((*frame ^ own->mac) & address));
}

static __always_inline int handle(struct xdp_md *ctx, struct sn_packet *packet)
{
	__u32 zero = 0;
	struct sn_lb_own *own = bpf_map_lookup_elem(&sn_lb_own, &zero);
	__u64 changes;
	int wish;

	if (!own)
		return SN_PASS;
	changes = own->changes; /* before the tables are read */
	barrier();
	if (!is_ours(ctx, own))
		return sn_decided(packet, SN_LB_OTHER_HOST, SN_PASS);
	if (parse(ctx, packet) != SN_FOUND)
		return SN_PASS;
	if (packet->key.protocol == IPPROTO_UDP && packet->key.source_port == bpf_htons(SN_PROBE_PORT)) {
		wish = sn_lb_heard(ctx, packet);
		if (wish != SN_CONTINUE)
			return wish;
	}
	return balance(ctx, packet, changes);
}

SEC("xdp.frags")
int sn_balance(struct xdp_md *ctx)
{
	struct sn_packet packet = {};
	int wish;

	packet.now_ns = now_ns();
	packet.cpu = bpf_get_smp_processor_id();
	wish = handle(ctx, &packet);
	count_reason(&packet);
	return sn_xdp_action(wish);
}
