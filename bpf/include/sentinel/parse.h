/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From bytes to facts: one bounded pass over Ethernet, VLAN, IP and transport headers; it changes nothing. */
#ifndef SENTINEL_PARSE_H
#define SENTINEL_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet.h"
#include "transport.h"

#define SN_MAX_VLANS 2
#define SN_MAX_EXTENSIONS 6

struct sn_vlan {
	__be16 tci;
	__be16 protocol;
};

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
