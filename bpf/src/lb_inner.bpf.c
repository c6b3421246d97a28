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

int sn_lb_inner(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	struct sn_flow_key quoted = {};
	struct ports *ports;
	__u32 offset;
	__u8 *type;

	if (!packet || packet->flags & SN_FRAGMENT)
		return 0;
	type = sn_bounded_at(&span, packet->l4_offset, 1);
	if (!type || !is_error(packet, *type))
		return 0;
	offset = packet->l4_offset + ICMP_HEADER;
	offset =
		packet->ip_version == 4 ? sn_inside_ip4(&span, offset, &quoted) : sn_inside_ip6(&span, offset, &quoted);
	if (!offset || (quoted.protocol != IPPROTO_TCP && quoted.protocol != IPPROTO_UDP))
		return 0;
	ports = sn_bounded_at(&span, offset, sizeof(*ports));
	if (!ports || offset + sizeof(*ports) > packet->ip_end || !same_address(quoted.source, packet->key.destination))
		return 0;
	__builtin_memcpy(packet->key.source, quoted.destination, 16);
	packet->key.source_port = ports->destination;
	packet->key.destination_port = ports->source;
	packet->key.protocol = quoted.protocol;
	return 1;
}
