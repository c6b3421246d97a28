// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ICMP errors: what a router says of a packet that a node sent in the VIP's name belongs to that node. */
#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

#define ICMP_HEADER 8

struct ports {
	__be16 source;
	__be16 destination;
};

static __always_inline int is_error(const struct sn_packet *packet, __u8 type)
{
	if (packet->key.protocol == IPPROTO_ICMP)
		return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
	return packet->key.protocol == IPPROTO_ICMPV6 && type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
}

static __always_inline int same_address(const __u8 *one, const __u8 *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1];
}

/* Where the quoted packet's ports are; 0 where it shows none. The key is that of the packet as it was sent. */
static __always_inline __u32 quoted_ip4(const struct sn_span *span, __u32 offset, struct sn_flow_key *key)
{
	struct iphdr *ip = sn_lb_at(span, offset, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(0x1fff))
		return 0;
	key->protocol = ip->protocol;
	sn_map_ip4(key->source, ip->saddr);
	sn_map_ip4(key->destination, ip->daddr);
	return offset + ip->ihl * 4;
}

static __always_inline __u32 quoted_ip6(const struct sn_span *span, __u32 offset, struct sn_flow_key *key)
{
	struct ipv6hdr *ip = sn_lb_at(span, offset, sizeof(*ip));

	if (!ip || ip->version != 6)
		return 0;
	key->protocol = ip->nexthdr;
	__builtin_memcpy(key->source, &ip->saddr, 16);
	__builtin_memcpy(key->destination, &ip->daddr, 16);
	return offset + sizeof(*ip);
}

int sn_lb_inner(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	struct sn_flow_key quoted = {};
	struct ports *ports;
	__u32 offset;
	__u8 *type;

	if (!packet || packet->flags & SN_FRAGMENT)
		return 0;
	type = sn_lb_at(&span, packet->l4_offset, 1);
	if (!type || !is_error(packet, *type))
		return 0;
	offset = packet->l4_offset + ICMP_HEADER;
	offset = packet->ip_version == 4 ? quoted_ip4(&span, offset, &quoted) : quoted_ip6(&span, offset, &quoted);
	if (!offset || (quoted.protocol != IPPROTO_TCP && quoted.protocol != IPPROTO_UDP))
		return 0;
	ports = sn_lb_at(&span, offset, sizeof(*ports));
	if (!ports || offset + sizeof(*ports) > packet->ip_end || !same_address(quoted.source, packet->key.destination))
		return 0;
	__builtin_memcpy(packet->key.source, quoted.destination, 16);
	packet->key.source_port = ports->destination;
	packet->key.destination_port = ports->source;
	packet->key.protocol = quoted.protocol;
	return 1;
}
