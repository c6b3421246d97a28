// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The answer to "do you live", given without user space: the probe goes back the way it came, turned into an answer. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/ecn.h>
#include <sentinel/peer.h>
#include <sentinel/stage.h>

#include "way.h"

const volatile __u64 sn_probe_gap_ns = 1000000;
const volatile __u32 sn_probes_own = 0; /* 1: what a router would send on is not answered */

#define ANSWER_HOPS 64

static __always_inline struct sn_probe *probe_in(const struct sn_span *span, const struct sn_packet *packet)
{
	struct sn_probe *probe;
	__u32 offset = packet->l4_offset + sizeof(struct udphdr);

	if (packet->key.protocol != IPPROTO_UDP || packet->key.destination_port != bpf_htons(SN_PROBE_PORT))
		return NULL;
	probe = sn_at(span, offset, sizeof(*probe));
	if (!probe || offset + sizeof(*probe) > packet->ip_end || probe->magic != bpf_htonl(SN_PROBE_MAGIC) ||
	    probe->version != SN_PROBE_VERSION || probe->kind != SN_PROBE_ASK)
		return NULL;
	return probe;
}

static __always_inline void swap_ethernet(struct ethhdr *ethernet)
{
	__u8 kept[ETH_ALEN];

	__builtin_memcpy(kept, ethernet->h_dest, ETH_ALEN);
	__builtin_memcpy(ethernet->h_dest, ethernet->h_source, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, kept, ETH_ALEN);
}

/* Sums do not notice a swap of addresses; the fresh hop limit they do. */
static __always_inline void turn_ip4(struct iphdr *ip)
{
	__u16 *words = (__u16 *)ip;
	__u16 before = words[4];
	__be32 kept = ip->saddr;

	ip->saddr = ip->daddr;
	ip->daddr = kept;
	ip->ttl = ANSWER_HOPS;
	ip->check = sn_sum_after(ip->check, before, words[4]);
}

static __always_inline void turn_ip6(struct ipv6hdr *ip)
{
	struct in6_addr kept = ip->saddr;

	ip->saddr = ip->daddr;
	ip->daddr = kept;
	ip->hop_limit = ANSWER_HOPS;
}

static __always_inline void turn_udp(struct udphdr *udp, struct sn_probe *probe)
{
	__u16 *kind = (__u16 *)&probe->version;
	__u16 before = *kind, sum;
	__be16 kept = udp->source;

	udp->source = udp->dest;
	udp->dest = kept;
	probe->kind = SN_PROBE_ANSWER;
	if (!udp->check)
		return;
	sum = sn_sum_after(udp->check, before, *kind);
	udp->check = sum ? sum : 0xffff;
}

static __always_inline int turn(const struct sn_span *span, const struct sn_packet *packet, struct sn_probe *probe)
{
	struct ethhdr *ethernet = span->data;
	struct udphdr *udp = sn_at(span, packet->l4_offset, sizeof(*udp));
	struct iphdr *ip4 = sn_at(span, packet->l3_offset, sizeof(*ip4));
	struct ipv6hdr *ip6 = sn_at(span, packet->l3_offset, sizeof(*ip6));

	barrier_var(ethernet); /* or clang 19 compares another pointer than it reads by */
	if ((void *)(ethernet + 1) > span->end || !udp || !ip4)
		return -1;
	if (packet->ip_version == 4)
		turn_ip4(ip4);
	else if (ip6)
		turn_ip6(ip6);
	else
		return -1;
	turn_udp(udp, probe);
	swap_ethernet(ethernet);
	return 0;
}

/* What the routes say of the probe's address; less than zero where they are not asked. */
static __always_inline long routed(struct xdp_md *ctx, const struct sn_packet *packet)
{
	struct bpf_fib_lookup way = {};

	return sn_probes_own ? way_of(ctx, packet, &way) : -1;
}

/* A switch floods what is meant for a node that died, and a card that listens to everything would bring it here. */
static __always_inline int is_for_another(long way)
{
	return way == BPF_FIB_LKUP_RET_SUCCESS || way == BPF_FIB_LKUP_RET_NO_NEIGH;
}

int sn_answer(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	struct sn_probe *probe;
	int grant;
	long way;

	if (!packet)
		return SN_PASS;
	probe = probe_in(&span, packet);
	if (!probe)
		return SN_CONTINUE;
	way = routed(ctx, packet);
	if (is_for_another(way))
		return SN_CONTINUE;
	grant = sn_may_probe(packet, sn_probe_gap_ns);
	if (grant == SN_PROBE_REFUSED) {
		packet->foreign = SN_REASON_PROBE_FOREIGN;
		return SN_CONTINUE;
	}
	if (grant == SN_PROBE_TOO_FAST) {
		packet->reason = SN_REASON_PROBE_OVER_RATE;
		return SN_DROP;
	}
	if (way == BPF_FIB_LKUP_RET_NOT_FWDED)
		sn_note_own(ctx, packet->now_ns);
	if (turn(&span, packet, probe))
		return SN_CONTINUE;
	packet->reason = SN_REASON_PROBE_REFLECTED;
	return SN_REFLECT;
}
