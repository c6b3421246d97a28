/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From bytes to facts: one bounded pass over Ethernet, VLAN, IP and transport headers; it changes nothing. */
#ifndef SENTINEL_PARSE_H
#define SENTINEL_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flow.h"
#include "reason.h"

#define SN_MAX_VLANS 2
#define SN_MAX_EXTENSIONS 6
#define SN_MAX_TCP_OPTIONS 8
#define SN_MAX_OFFSET 1023 /* deeper headers than this are no traffic we know; the verifier wants a bound */

enum sn_outcome {
	SN_FOUND = 0, /* packet is filled */
	SN_NOT_OURS = 1, /* well-formed, but nothing we handle; packet.reason says which */
	SN_MALFORMED = 2, /* packet.reason says where */
};

enum sn_packet_flag {
	SN_HAS_PORTS = 1,
	SN_FRAGMENT = 2, /* any fragment, the first too: the flow is the address pair */
	SN_TIMESTAMPS = 4,
	SN_NEW_FLOW = 8,
	SN_SYN = 16, /* SYN without ACK */
	SN_CLOSES = 32, /* FIN or RST */
	SN_CLASSIFIED = 64,
};

struct sn_packet {
	struct sn_flow_key key;
	__u64 now_ns;
	__u32 length; /* of the frame, Ethernet header included */
	__u32 timestamp; /* TCP timestamp value and echo, with SN_TIMESTAMPS */
	__u32 echo;
	__u32 cpu;
	__u32 reason;
	__u32 class_id;
	__u32 generation; /* of the rules that named the class */
	__u16 l3_offset;
	__u16 l4_offset;
	__u16 ip_end; /* offset where the IP packet ends, saturated */
	__u8 ip_version;
	__u8 dscp;
	__u8 ecn;
	__u8 tcp_flags; /* byte 13 of the header */
	__u8 flags; /* enum sn_packet_flag */
	__u8 _pad;
};
_Static_assert(sizeof(struct sn_packet) == 88, "lives on the stack of every stage");

struct sn_vlan {
	__be16 tci;
	__be16 protocol;
};

struct sn_span {
	void *data;
	void *end;
	__u32 length;
};

static __always_inline void *sn_at(const struct sn_span *span, __u32 offset, __u32 size)
{
	void *at;

	if (offset > SN_MAX_OFFSET)
		return NULL;
	at = span->data + offset;
	if (at + size > span->end)
		return NULL;
	return at;
}

static __always_inline enum sn_outcome sn_malformed(struct sn_packet *packet, enum sn_reason reason)
{
	packet->reason = reason;
	return SN_MALFORMED;
}

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

static __always_inline void sn_map_ip4(__u8 mapped[16], __be32 address)
{
	__u32 *words = (__u32 *)mapped;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

/* ip_end is 16 bits wide; a longer (GSO) packet is cut there, which no header reaches. */
static __always_inline void sn_set_ip_end(struct sn_packet *packet, __u32 end)
{
	packet->ip_end = end > 0xffff ? 0xffff : end;
}

static __always_inline enum sn_outcome sn_parse_ip4(const struct sn_span *span, struct sn_packet *packet)
{
	__u32 offset = packet->l3_offset;
	struct iphdr *ip = sn_at(span, offset, sizeof(*ip));
	__u32 header, total;

	if (!ip)
		return sn_malformed(packet, SN_REASON_IP4_SHORT);
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip))
		return sn_malformed(packet, SN_REASON_IP4_BAD_HEADER);
	if (total < header || offset + total > span->length)
		return sn_malformed(packet, SN_REASON_IP4_BAD_LENGTH);
	packet->ip_version = 4;
	packet->dscp = ip->tos >> 2;
	packet->ecn = ip->tos & 3;
	packet->key.protocol = ip->protocol;
	sn_map_ip4(packet->key.source, ip->saddr);
	sn_map_ip4(packet->key.destination, ip->daddr);
	if (ip->frag_off & bpf_htons(0x3fff))
		packet->flags |= SN_FRAGMENT;
	packet->l4_offset = offset + header;
	sn_set_ip_end(packet, offset + total);
	return sn_parse_transport(span, packet);
}

static __always_inline int sn_is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_AH;
}

/* Walks to the transport header; fragments end the walk, for what follows may lie in another packet. */
static __always_inline enum sn_outcome sn_skip_extensions(const struct sn_span *span, struct sn_packet *packet)
{
	__u32 offset = packet->l4_offset;

	for (int i = 0; i < SN_MAX_EXTENSIONS; i++) {
		__u8 protocol = packet->key.protocol;
		__u8 *extension;
		__u32 size;

		if (!sn_is_extension(protocol))
			break;
		extension = sn_at(span, offset, 8);
		if (!extension || offset + 8 > packet->ip_end)
			return sn_malformed(packet, SN_REASON_IP6_EXTENSION_SHORT);
		packet->key.protocol = extension[0];
		size = 8;
		if (protocol == IPPROTO_AH)
			size = (extension[1] + 2) * 4;
		else if (protocol != IPPROTO_FRAGMENT)
			size = (extension[1] + 1) * 8;
		offset += size;
		if (offset > packet->ip_end)
			return sn_malformed(packet, SN_REASON_IP6_EXTENSION_SHORT);
		packet->l4_offset = offset;
		if (protocol == IPPROTO_FRAGMENT && (*(__be16 *)(extension + 2) & bpf_htons(0xfff9))) {
			packet->flags |= SN_FRAGMENT;
			return SN_FOUND;
		}
	}
	if (sn_is_extension(packet->key.protocol))
		return sn_malformed(packet, SN_REASON_IP6_EXTENSION_DEEP);
	return SN_FOUND;
}

static __always_inline enum sn_outcome sn_parse_ip6(const struct sn_span *span, struct sn_packet *packet)
{
	__u32 offset = packet->l3_offset;
	struct ipv6hdr *ip = sn_at(span, offset, sizeof(*ip));
	__u32 total, first;
	enum sn_outcome outcome;

	if (!ip)
		return sn_malformed(packet, SN_REASON_IP6_SHORT);
	if (ip->version != 6)
		return sn_malformed(packet, SN_REASON_IP6_BAD_HEADER);
	total = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (offset + total > span->length)
		return sn_malformed(packet, SN_REASON_IP6_BAD_LENGTH);
	first = bpf_ntohl(*(__be32 *)ip);
	packet->ip_version = 6;
	packet->dscp = (first >> 22) & 0x3f;
	packet->ecn = (first >> 20) & 3;
	packet->key.protocol = ip->nexthdr;
	__builtin_memcpy(packet->key.source, &ip->saddr, 16);
	__builtin_memcpy(packet->key.destination, &ip->daddr, 16);
	packet->l4_offset = offset + sizeof(*ip);
	sn_set_ip_end(packet, offset + total);
	if (sn_is_extension(packet->key.protocol)) {
		outcome = sn_skip_extensions(span, packet);
		if (outcome != SN_FOUND)
			return outcome;
	}
	return sn_parse_transport(span, packet);
}

static __always_inline int sn_is_vlan(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

static __always_inline enum sn_outcome sn_parse_span(const struct sn_span *span, struct sn_packet *packet)
{
	struct ethhdr *ethernet = sn_at(span, 0, sizeof(*ethernet));
	__u32 offset = sizeof(*ethernet);
	__be16 protocol;

	if (!ethernet)
		return sn_malformed(packet, SN_REASON_ETHERNET_SHORT);
	packet->length = span->length;
	protocol = ethernet->h_proto;
	for (int i = 0; i < SN_MAX_VLANS && sn_is_vlan(protocol); i++) {
		struct sn_vlan *vlan = sn_at(span, offset, sizeof(*vlan));

		if (!vlan)
			return sn_malformed(packet, SN_REASON_VLAN_SHORT);
		protocol = vlan->protocol;
		offset += sizeof(*vlan);
	}
	packet->l3_offset = offset;
	if (protocol == bpf_htons(ETH_P_IP))
		return sn_parse_ip4(span, packet);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return sn_parse_ip6(span, packet);
	packet->reason = sn_is_vlan(protocol) ? SN_REASON_VLAN_DEEP : SN_REASON_NOT_IP;
	return SN_NOT_OURS;
}

#endif
