/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way to a backend: one header more, or only another Ethernet destination on the same segment.
 *
 *   | Ethernet, VLANs | IP …     ──►     | Ethernet, VLANs | outer IP | (UDP) | IP …
 */
#ifndef SENTINEL_LB_SEND_H
#define SENTINEL_LB_SEND_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/head.h>
#include <sentinel/lb_stage.h>

#include "lb_life.h"

/* The compiler describes an enumeration in BTF only when something has its type. */
const volatile enum sn_encap sn_lb_encaps = SN_ENCAP_IP;

const volatile __u16 sn_tunnel_port = SN_TUNNEL_PORT;

#define OUTER_HOPS 64
#define FIRST_PORT 0xc000
#define PORTS_MASK 0x3fff

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_BACKENDS);
	__type(key, __u32);
	__type(value, struct sn_backend);
} sn_lb_backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_lb_source);
} sn_lb_source SEC(".maps");

/* What the outer header is made from. */
struct outer {
	__u32 hash;
	__u32 inner_bytes;
	__u8 version; /* of the inner packet */
	__u8 tos;
	__u8 udp;
};

static __always_inline int is_ip4(const struct sn_backend *backend)
{
	const __u32 *words = (const __u32 *)backend->address;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

int sn_lb_is_address(__u32 backend, struct sn_packet *packet)
{
	struct sn_backend *found = bpf_map_lookup_elem(&sn_lb_backends, &backend);
	const __u64 *wanted, *seen;

	if (!found || !packet || found->encap == SN_ENCAP_NONE)
		return 0;
	wanted = (const __u64 *)found->address;
	seen = (const __u64 *)packet->key.source;
	return wanted[0] == seen[0] && wanted[1] == seen[1];
}

static __always_inline __u32 overhead_of(const struct sn_backend *backend)
{
	__u32 bytes = is_ip4(backend) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	if (backend->encap == SN_ENCAP_L2)
		return 0;
	return backend->encap == SN_ENCAP_UDP ? bytes + sizeof(struct udphdr) : bytes;
}

static __always_inline void address_frame(struct ethhdr *ethernet, const struct sn_backend *backend)
{
	sn_copy_pairs(ethernet->h_source, ethernet->h_dest, ETH_ALEN);
	sn_copy_pairs(ethernet->h_dest, backend->mac, ETH_ALEN);
}

static __always_inline __u8 next_protocol(const struct outer *outer)
{
	if (outer->udp)
		return IPPROTO_UDP;
	return outer->version == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
}

static __always_inline __u16 sum_of_header(const struct iphdr *ip)
{
	const __u16 *words = (const __u16 *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void write_ip4(struct iphdr *ip, const struct outer *outer, const struct sn_backend *backend,
				      const struct sn_lb_source *source)
{
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = outer->tos;
	ip->tot_len = bpf_htons(sizeof(*ip) + (outer->udp ? sizeof(struct udphdr) : 0) + outer->inner_bytes);
	ip->id = 0; /* never a fragment, so never told apart (RFC 6864) */
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = OUTER_HOPS;
	ip->protocol = next_protocol(outer);
	ip->check = 0;
	ip->saddr = outer->udp ? source->address4 : source->address4 ^ (bpf_htonl(outer->hash) & source->vary4);
	ip->daddr = ((const __u32 *)backend->address)[3];
	ip->check = sum_of_header(ip);
}

static __always_inline void write_ip6(struct ipv6hdr *ip, const struct outer *outer, const struct sn_backend *backend,
				      const struct sn_lb_source *source)
{
	/* The flow label, too, follows the flow: routers spread by it (RFC 6438). */
	*(__be32 *)ip = bpf_htonl(6u << 28 | (__u32)outer->tos << 20 | (outer->hash & 0xfffff));
	ip->payload_len = bpf_htons((outer->udp ? sizeof(struct udphdr) : 0) + outer->inner_bytes);
	ip->nexthdr = next_protocol(outer);
	ip->hop_limit = OUTER_HOPS;
	__builtin_memcpy(&ip->saddr, source->address6, 16);
	__builtin_memcpy(&ip->daddr, backend->address, 16);
	if (!outer->udp)
		ip->saddr.s6_addr32[3] ^= bpf_htonl(outer->hash) & source->vary6;
}

/* Without a sum, over IPv6 too: what is inside has its own (RFC 6935), and the node's XDP takes it as it is. */
static __always_inline void write_udp(struct udphdr *udp, const struct outer *outer)
{
	udp->source = bpf_htons(FIRST_PORT | (outer->hash & PORTS_MASK));
	udp->dest = bpf_htons(sn_tunnel_port);
	udp->len = bpf_htons(sizeof(*udp) + outer->inner_bytes);
	udp->check = 0;
}

static __always_inline int wrap(struct xdp_md *ctx, const struct sn_packet *packet, const struct outer *outer,
				const struct sn_backend *backend)
{
	int ip4 = is_ip4(backend);
	__be16 type = ip4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	__u32 zero = 0, offset = packet->l3_offset;
	struct sn_lb_source *source = bpf_map_lookup_elem(&sn_lb_source, &zero);
	struct sn_span span;
	void *ip;

	if (!source || sn_move_head(ctx, packet, -(int)overhead_of(backend), type))
		return -1;
	span.data = (void *)(long)ctx->data;
	span.end = (void *)(long)ctx->data_end;
	ip = sn_bounded_at(&span, offset, ip4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	if (!ip)
		return -1;
	if (ip4) {
		write_ip4(ip, outer, backend, source);
		offset += sizeof(struct iphdr);
	} else {
		ip = sn_bounded_at(&span, offset, sizeof(struct ipv6hdr));
		if (!ip)
			return -1;
		write_ip6(ip, outer, backend, source);
		offset += sizeof(struct ipv6hdr);
	}
	if (outer->udp) {
		struct udphdr *udp = sn_bounded_at(&span, offset, sizeof(*udp));

		if (!udp)
			return -1;
		write_udp(udp, outer);
	}
	return 0;
}

/* enum sn_wish; the packet is on its way to the backend, or packet->reason says why not. */
static __always_inline int send_on(struct xdp_md *ctx, struct sn_packet *packet, const struct sn_lb_route *route)
{
	struct sn_backend *backend;
	struct outer outer = {};
	struct ethhdr *ethernet;
	struct sn_span span;
	__u32 key = route->backend;

	backend = bpf_map_lookup_elem(&sn_lb_backends, &key);
	if (!backend || backend->encap == SN_ENCAP_NONE)
		return sn_decided(packet, SN_LB_NO_WAY, SN_DROP);
	outer.inner_bytes = packet->ip_end - packet->l3_offset;
	if (outer.inner_bytes + overhead_of(backend) > backend->mtu) {
		if (route->about)
			return sn_decided(packet, SN_LB_TOO_BIG_LOST, SN_DROP);
		return sn_lb_refuse(ctx, packet, backend->mtu - overhead_of(backend));
	}
	if (sn_spend_hop(ctx, packet))
		return sn_decided(packet, SN_LB_LAST_HOP, SN_PASS);
	outer.hash = route->hash;
	outer.version = packet->ip_version;
	outer.tos = packet->dscp << 2 | packet->ecn;
	outer.udp = backend->encap == SN_ENCAP_UDP;
	if (backend->encap != SN_ENCAP_L2 && wrap(ctx, packet, &outer, backend))
		return sn_decided(packet, SN_LB_NOT_MOVED, SN_DROP);
	span.data = (void *)(long)ctx->data;
	span.end = (void *)(long)ctx->data_end;
	ethernet = sn_bounded_at(&span, 0, sizeof(*ethernet));
	if (!ethernet)
		return sn_decided(packet, SN_LB_NOT_MOVED, SN_DROP);
	address_frame(ethernet, backend);
	return SN_REFLECT;
}

static __always_inline int can_wrap(const struct sn_backend *backend)
{
	return backend && (backend->encap == SN_ENCAP_IP || backend->encap == SN_ENCAP_UDP);
}

/* Wrapped for the second node first, so that the first can send it on by taking off what is its own. */
static __always_inline int wrap_for(struct xdp_md *ctx, struct sn_packet *packet, const struct sn_lb_route *route,
				    const struct sn_backend *second)
{
	struct outer outer = {};

	outer.inner_bytes = packet->ip_end - packet->l3_offset;
	outer.hash = route->hash;
	outer.version = packet->ip_version;
	outer.tos = packet->dscp << 2 | packet->ecn;
	outer.udp = second->encap == SN_ENCAP_UDP;
	if (wrap(ctx, packet, &outer, second))
		return -1;
	packet->ip_version = is_ip4(second) ? 4 : 6;
	packet->ip_end += overhead_of(second);
	return 0;
}

/* Nodes look no further than behind the IP header, and a fragment is of an address pair, not of a flow. */
static __always_inline int shows_ports(const struct sn_packet *packet)
{
	if (packet->flags & SN_FRAGMENT)
		return 0;
	return packet->ip_version == 4 || packet->l4_offset == packet->l3_offset + sizeof(struct ipv6hdr);
}

static __always_inline __u32 room_on(const struct sn_backend *first, const struct sn_backend *second)
{
	__u32 mtu = first->mtu - overhead_of(first);

	return (mtu < second->mtu ? mtu : second->mtu) - overhead_of(second);
}

/*
 * A flow that this balancer does not know lives at one of its two candidates, and they know at which: the packet goes
 * to the first within what the second would get, and a node that does not know the flow sends it on. UDP may be new,
 * and then it is the chosen one's, so that the other is asked first; too long for both headers it is taken for new.
 */
int sn_lb_send_unsure(struct xdp_md *ctx, struct sn_packet *packet, struct sn_lb_route *route)
{
	struct sn_backend *first, *second;
	int udp, fits, wish;
	__u32 key, chosen;

	if (!packet || !route)
		return SN_DROP;
	chosen = route->backend; /* whose the packet is counted as */
	udp = packet->key.protocol == IPPROTO_UDP;
	key = udp ? route->second : chosen;
	first = bpf_map_lookup_elem(&sn_lb_backends, &key);
	key = udp ? chosen : route->second;
	second = bpf_map_lookup_elem(&sn_lb_backends, &key);
	if (!can_wrap(first) || !can_wrap(second) || !shows_ports(packet) || !living(route->second, packet->now_ns))
		return send_on(ctx, packet, route);
	fits = packet->ip_end - packet->l3_offset <= room_on(first, second);
	if (!fits && (udp || route->about))
		return send_on(ctx, packet, route);
	if (packet->reason == SN_LB_KNOWN)
		packet->reason = SN_LB_UNSURE;
	if (!fits)
		return sn_lb_refuse(ctx, packet, room_on(first, second));
	if (sn_spend_hop(ctx, packet))
		return sn_decided(packet, SN_LB_LAST_HOP, SN_PASS);
	if (wrap_for(ctx, packet, route, second))
		return sn_decided(packet, SN_LB_NOT_MOVED, SN_DROP);
	if (udp)
		route->backend = route->second;
	wish = send_on(ctx, packet, route);
	route->backend = chosen;
	return wish;
}

#endif
