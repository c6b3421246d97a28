// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A packet in two tunnels belongs to a flow that its balancer does not know: it may live here, or at another node.
 *
 *   | Ethernet | to this node | to the other node | IP …      known here, or a SYN: both come off, and it stays
 *   | Ethernet |                to the other node | IP …      else: on it goes, once, as the other unwraps only one
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/inside.h>
#include <sentinel/stage.h>

#include "way.h"

#define TCP_FLAGS_AT 13
#define TCP_SYN 2
#define TCP_ACK 16

static __always_inline __u32 inside_of(const struct sn_packet *packet)
{
	return packet->key.protocol == IPPROTO_UDP ? packet->l4_offset + sizeof(struct udphdr) : packet->l4_offset;
}

/* A connection that begins belongs to whoever meets it first; a datagram says nothing of beginnings. */
static __always_inline int begins(const struct sn_span *span, __u32 offset)
{
	__u8 *flags = sn_bounded_at(span, offset + TCP_FLAGS_AT, 1);

	return flags && (*flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* 1: the key has the ports at `offset` now; 2: the packet is about a flow, and the key is that one's. */
static __always_inline int names_flow(const struct sn_span *span, __u32 offset, __u32 end, struct sn_flow_key *key)
{
	struct sn_ports *ports;

	if (key->protocol == IPPROTO_ICMP || key->protocol == IPPROTO_ICMPV6)
		return sn_about(span, offset, end, key) * 2;
	ports = sn_bounded_at(span, offset, sizeof(*ports));
	if (!ports || (key->protocol != IPPROTO_TCP && key->protocol != IPPROTO_UDP))
		return 0;
	key->source_port = ports->source;
	key->destination_port = ports->destination;
	return 1;
}

/* The first header has come off already. */
int sn_whose(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	struct sn_flow_key key = {};
	__u32 offset;
	__u8 *first;
	int named;

	if (!packet)
		return SN_NO_FLOW;
	offset = inside_of(packet);
	first = sn_bounded_at(&span, offset, 1);
	if (!first)
		return SN_NO_FLOW;
	offset = *first >> 4 == 4 ? sn_inside_ip4(&span, offset, &key) : sn_inside_ip6(&span, offset, &key);
	if (!offset)
		return SN_NO_FLOW;
	named = names_flow(&span, offset, packet->ip_end, &key);
	if (!named)
		return SN_NO_FLOW;
	if (named == 1 && key.protocol == IPPROTO_TCP && begins(&span, offset))
		return SN_OURS;
	return sn_knows(&key) ? SN_OURS : SN_ANOTHERS;
}

static __always_inline int find_way(struct xdp_md *ctx, const struct sn_packet *packet, struct bpf_fib_lookup *way)
{
	return way_of(ctx, packet, way) == BPF_FIB_LKUP_RET_SUCCESS && way->ifindex == ctx->ingress_ifindex;
}

/* Out where it came in, or, where the way is another or the neighbour not known yet, by the stack as any router does. */
int sn_pass_on(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct bpf_fib_lookup way = {};
	struct ethhdr *ethernet;

	if (!packet)
		return SN_PASS;
	packet->reason = SN_REASON_TUNNEL_ONWARD;
	if (packet->l3_offset != ETH_HLEN || !find_way(ctx, packet, &way) || sn_spend_hop(ctx, packet))
		return SN_PASS;
	ethernet = (void *)(long)ctx->data;
	if ((void *)(ethernet + 1) > (void *)(long)ctx->data_end)
		return SN_PASS;
	__builtin_memcpy(ethernet->h_source, way.smac, ETH_ALEN);
	__builtin_memcpy(ethernet->h_dest, way.dmac, ETH_ALEN);
	return SN_REFLECT;
}
