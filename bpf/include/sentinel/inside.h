/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet inside another: the addresses that it shows, without taking the outer header off; and the hop that it costs. */
#ifndef SENTINEL_INSIDE_H
#define SENTINEL_INSIDE_H

#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <bpf/bpf_helpers.h>

#include "ecn.h"
#include "parse.h"

_Static_assert(SN_MAX_OFFSET == 1023, "sn_bounded_at masks by it");

/* sn_at for kernels before 6.3, which forget the bound of an offset that the compiler keeps in two places. */
static __always_inline void *sn_bounded_at(const struct sn_span *span, __u32 offset, __u32 size)
{
	__u64 bounded = offset;
	void *at;

	if (offset > SN_MAX_OFFSET)
		return NULL;
	asm volatile("%0 &= 1023" : "+r"(bounded));
	at = span->data + bounded;
	if (at + size > span->end)
		return NULL;
	return at;
}

/* Where the ports of the packet at `offset` are; 0 where it shows none. The key is that of the packet as it was sent. */
static __always_inline __u32 sn_inside_ip4(const struct sn_span *span, __u32 offset, struct sn_flow_key *key)
{
	struct iphdr *ip = sn_bounded_at(span, offset, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(0x1fff))
		return 0;
	key->protocol = ip->protocol;
	sn_map_ip4(key->source, ip->saddr);
	sn_map_ip4(key->destination, ip->daddr);
	return offset + ip->ihl * 4;
}

static __always_inline __u32 sn_inside_ip6(const struct sn_span *span, __u32 offset, struct sn_flow_key *key)
{
	struct ipv6hdr *ip = sn_bounded_at(span, offset, sizeof(*ip));

	if (!ip || ip->version != 6)
		return 0;
	key->protocol = ip->nexthdr;
	__builtin_memcpy(key->source, &ip->saddr, 16);
	__builtin_memcpy(key->destination, &ip->daddr, 16);
	return offset + sizeof(*ip);
}

#define SN_ICMP_HEADER 8

struct sn_ports {
	__be16 source;
	__be16 destination;
};

static __always_inline int sn_same_address(const __u8 *one, const __u8 *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1];
}

static __always_inline int sn_is_error(__u8 protocol, __u8 type)
{
	if (protocol == IPPROTO_ICMP)
		return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
	return protocol == IPPROTO_ICMPV6 && type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
}

/*
 * 1 when the ICMP message at `offset` is an error about a packet that its own destination sent; the key then becomes
 * that of the flow which that packet answered. Before, it is that of the message; `end` is where its packet ends.
 */
static __always_inline int sn_about(const struct sn_span *span, __u32 offset, __u32 end, struct sn_flow_key *key)
{
	struct sn_flow_key quoted = {};
	struct sn_ports *ports;
	__u8 *type = sn_bounded_at(span, offset, 1);

	if (!type || !sn_is_error(key->protocol, *type))
		return 0;
	offset += SN_ICMP_HEADER;
	offset = key->protocol == IPPROTO_ICMP ? sn_inside_ip4(span, offset, &quoted)
					       : sn_inside_ip6(span, offset, &quoted);
	if (!offset || (quoted.protocol != IPPROTO_TCP && quoted.protocol != IPPROTO_UDP))
		return 0;
	ports = sn_bounded_at(span, offset, sizeof(*ports));
	if (!ports || offset + sizeof(*ports) > end || !sn_same_address(quoted.source, key->destination))
		return 0;
	__builtin_memcpy(key->source, quoted.destination, 16);
	key->source_port = ports->destination;
	key->destination_port = ports->source;
	key->protocol = quoted.protocol;
	return 1;
}

/* One hop less, so that a packet which a node sends back by mistake does not go round for ever. */
static __always_inline int sn_spend_hop(struct xdp_md *ctx, const struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	struct iphdr *ip4 = sn_bounded_at(&span, packet->l3_offset, sizeof(*ip4));
	struct ipv6hdr *ip6;
	__u16 *words = (__u16 *)ip4;
	__u16 before;

	if (!ip4)
		return -1;
	if (packet->ip_version == 4) {
		if (ip4->ttl <= 1)
			return -1;
		before = words[4];
		ip4->ttl--;
		ip4->check = sn_sum_after(ip4->check, before, words[4]);
		return 0;
	}
	ip6 = sn_bounded_at(&span, packet->l3_offset, sizeof(*ip6));
	if (!ip6 || ip6->hop_limit <= 1)
		return -1;
	ip6->hop_limit--;
	return 0;
}

#endif
