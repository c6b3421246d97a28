/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The transport headers of a packet: ports, TCP's flags and timestamps. Part of parse.h. */
#ifndef SENTINEL_TRANSPORT_H
#define SENTINEL_TRANSPORT_H

#include <linux/in.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet.h"

#define SN_MAX_TCP_OPTIONS 8

static __always_inline void sn_keep_timestamps(struct sn_packet *packet, const __be32 *words)
{
	packet->timestamp = bpf_ntohl(words[0]);
	packet->echo = bpf_ntohl(words[1]);
	packet->flags |= SN_TIMESTAMPS;
}

/* The option list of a SYN, or of a peer with taste of its own; a list that is cut or odd ends the search quietly. */
static __always_inline void sn_search_timestamps(const struct sn_span *span, struct sn_packet *packet, __u32 offset,
						 __u32 end)
{
	for (int i = 0; i < SN_MAX_TCP_OPTIONS; i++) {
		__u8 *kind = sn_at(span, offset, 2);

		if (!kind || offset + 2 > end || *kind == 0)
			return;
		if (*kind == 1) {
			offset++;
			continue;
		}
		if (*kind == 8) {
			__u8 *option = sn_at(span, offset, 10);

			if (option && option[1] == 10 && offset + 10 <= end)
				sn_keep_timestamps(packet, (__be32 *)(option + 2));
			return;
		}
		if (kind[1] < 2)
			return;
		offset += kind[1];
	}
}

static __always_inline enum sn_outcome sn_parse_tcp(const struct sn_span *span, struct sn_packet *packet)
{
	__u32 offset = packet->l4_offset;
	struct tcphdr *tcp = sn_at(span, offset, sizeof(*tcp));
	__u32 header;
	__be32 *options;

	if (!tcp || offset + sizeof(*tcp) > packet->ip_end)
		return sn_malformed(packet, SN_REASON_TRANSPORT_SHORT);
	header = tcp->doff * 4;
	if (header < sizeof(*tcp) || offset + header > packet->ip_end)
		return sn_malformed(packet, SN_REASON_TCP_BAD_HEADER);
	packet->key.source_port = tcp->source;
	packet->key.destination_port = tcp->dest;
	packet->tcp_flags = ((__u8 *)tcp)[13];
	packet->flags |= SN_HAS_PORTS;
	if (tcp->syn && !tcp->ack)
		packet->flags |= SN_SYN;
	if (tcp->fin || tcp->rst)
		packet->flags |= SN_CLOSES;
	if (header == sizeof(*tcp))
		return SN_FOUND;
	offset += sizeof(*tcp);
	options = sn_at(span, offset, 12);
	if (options && header >= 32 && options[0] == bpf_htonl(0x0101080a))
		sn_keep_timestamps(packet, options + 1);
	else
		sn_search_timestamps(span, packet, offset, packet->l4_offset + header);
	return SN_FOUND;
}

static __always_inline enum sn_outcome sn_parse_udp(const struct sn_span *span, struct sn_packet *packet)
{
	struct udphdr *udp = sn_at(span, packet->l4_offset, sizeof(*udp));
	__u32 length;

	if (!udp || packet->l4_offset + sizeof(*udp) > packet->ip_end)
		return sn_malformed(packet, SN_REASON_TRANSPORT_SHORT);
	length = bpf_ntohs(udp->len);
	if (length < sizeof(*udp) || packet->l4_offset + length > packet->ip_end)
		return sn_malformed(packet, SN_REASON_UDP_BAD_LENGTH);
	packet->key.source_port = udp->source;
	packet->key.destination_port = udp->dest;
	packet->flags |= SN_HAS_PORTS;
	return SN_FOUND;
}

static __always_inline enum sn_outcome sn_parse_transport(const struct sn_span *span, struct sn_packet *packet)
{
	if (packet->flags & SN_FRAGMENT)
		return SN_FOUND;
	switch (packet->key.protocol) {
	case IPPROTO_TCP:
		return sn_parse_tcp(span, packet);
	case IPPROTO_UDP:
		return sn_parse_udp(span, packet);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (!sn_at(span, packet->l4_offset, 8) || packet->l4_offset + 8 > packet->ip_end)
			return sn_malformed(packet, SN_REASON_TRANSPORT_SHORT);
		return SN_FOUND;
	default:
		return SN_FOUND;
	}
}

#endif
