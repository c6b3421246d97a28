// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A packet that does not fit the way to its backend goes back to its sender as "too big", with the size that fits. */
#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/ecn.h>
#include <sentinel/lb_stage.h>

#define QUOTED 128 /* bytes of the packet that the answer shows: headers, and enough to be told apart */
#define ANSWER_HOPS 64
#define SMALLEST_MTU6 1280

struct answer4 {
	struct iphdr ip;
	struct icmphdr icmp;
};

struct answer6 {
	struct ipv6hdr ip;
	struct icmp6hdr icmp;
};

struct pseudo6 {
	__u8 source[16];
	__u8 destination[16];
	__be32 length;
	__be32 next;
};

static __always_inline __u16 folded(__s64 sum)
{
	__u64 total = sum;

	total = (total & 0xffff) + (total >> 16);
	total = (total & 0xffff) + (total >> 16);
	total = (total & 0xffff) + (total >> 16);
	return ~total;
}

/* What lies behind the quote is cut off, and the Ethernet header comes back turned, `bytes` further forward. */
static __always_inline int reshape(struct xdp_md *ctx, __u32 head, __u32 length, __u32 bytes)
{
	__u8 saved[ETH_HLEN + SN_MAX_VLANS * sizeof(struct sn_vlan)];
	void *data = (void *)(long)ctx->data;
	struct ethhdr *ethernet;

	if (data + head > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(saved, data, head);
	if (length < head + QUOTED || bpf_xdp_adjust_tail(ctx, -(int)(length - head - QUOTED)) ||
	    bpf_xdp_adjust_head(ctx, -(int)bytes))
		return -1;
	data = (void *)(long)ctx->data;
	if (data + head > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(data, saved, head);
	ethernet = data;
	__builtin_memcpy(ethernet->h_dest, saved + ETH_ALEN, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, saved, ETH_ALEN);
	return 0;
}

static __always_inline int reshaped(struct xdp_md *ctx, const struct sn_packet *packet, __u32 bytes)
{
	__u32 length = packet->length;

	switch (packet->l3_offset) {
	case ETH_HLEN:
		return reshape(ctx, ETH_HLEN, length, bytes);
	case ETH_HLEN + sizeof(struct sn_vlan):
		return reshape(ctx, ETH_HLEN + sizeof(struct sn_vlan), length, bytes);
	default:
		return reshape(ctx, ETH_HLEN + SN_MAX_VLANS * sizeof(struct sn_vlan), length, bytes);
	}
}

static __always_inline int answer_ip4(struct answer4 *answer, const struct sn_packet *packet, __u32 mtu)
{
	struct iphdr *ip = &answer->ip;
	struct icmphdr *icmp = &answer->icmp;

	__builtin_memset(answer, 0, sizeof(*answer));
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = bpf_htons(sizeof(*answer) + QUOTED);
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = ANSWER_HOPS;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = ((const __u32 *)packet->key.destination)[3];
	ip->daddr = ((const __u32 *)packet->key.source)[3];
	ip->check = folded(bpf_csum_diff(NULL, 0, (void *)ip, sizeof(*ip), 0));
	icmp->type = ICMP_DEST_UNREACH;
	icmp->code = ICMP_FRAG_NEEDED;
	icmp->un.frag.mtu = bpf_htons(mtu);
	icmp->checksum = folded(bpf_csum_diff(NULL, 0, (void *)icmp, sizeof(*icmp) + QUOTED, 0));
	return SN_REFLECT;
}

static __always_inline int answer_ip6(struct answer6 *answer, const struct sn_packet *packet, __u32 mtu)
{
	struct ipv6hdr *ip = &answer->ip;
	struct icmp6hdr *icmp = &answer->icmp;
	struct pseudo6 pseudo = {};
	__s64 sum;

	__builtin_memset(answer, 0, sizeof(*answer));
	ip->version = 6;
	ip->payload_len = bpf_htons(sizeof(*icmp) + QUOTED);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = ANSWER_HOPS;
	__builtin_memcpy(&ip->saddr, packet->key.destination, 16);
	__builtin_memcpy(&ip->daddr, packet->key.source, 16);
	__builtin_memcpy(pseudo.source, packet->key.destination, 16);
	__builtin_memcpy(pseudo.destination, packet->key.source, 16);
	pseudo.length = bpf_htonl(sizeof(*icmp) + QUOTED);
	pseudo.next = bpf_htonl(IPPROTO_ICMPV6);
	icmp->icmp6_type = ICMPV6_PKT_TOOBIG;
	icmp->icmp6_mtu = bpf_htonl(mtu < SMALLEST_MTU6 ? SMALLEST_MTU6 : mtu);
	sum = bpf_csum_diff(NULL, 0, (void *)&pseudo, sizeof(pseudo), 0);
	icmp->icmp6_cksum = folded(bpf_csum_diff(NULL, 0, (void *)icmp, sizeof(*icmp) + QUOTED, sum));
	return SN_REFLECT;
}

static __always_inline int turned(struct xdp_md *ctx, const struct sn_packet *packet, __u32 mtu)
{
	struct sn_span span;
	void *at;

	if (reshaped(ctx, packet, packet->ip_version == 4 ? sizeof(struct answer4) : sizeof(struct answer6)))
		return SN_DROP;
	span.data = (void *)(long)ctx->data;
	span.end = (void *)(long)ctx->data_end;
	if (packet->ip_version == 4) {
		at = sn_bounded_at(&span, packet->l3_offset, sizeof(struct answer4) + QUOTED);
		return at ? answer_ip4(at, packet, mtu) : SN_DROP;
	}
	at = sn_bounded_at(&span, packet->l3_offset, sizeof(struct answer6) + QUOTED);
	return at ? answer_ip6(at, packet, mtu) : SN_DROP;
}

int sn_lb_refuse(struct xdp_md *ctx, struct sn_packet *packet, __u32 mtu)
{
	int wish;

	if (!packet)
		return SN_DROP;
	wish = turned(ctx, packet, mtu);
	packet->reason = wish == SN_REFLECT ? SN_LB_TOO_BIG : SN_LB_TOO_BIG_LOST;
	return wish;
}
