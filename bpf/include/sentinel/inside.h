/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet inside another: the addresses that it shows, without taking the outer header off; and the hop that it costs. */
#ifndef SENTINEL_INSIDE_H
#define SENTINEL_INSIDE_H

#include <linux/bpf.h>
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
