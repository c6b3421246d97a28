/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where this node's routes would send a packet on. */
#ifndef SENTINEL_WAY_H
#define SENTINEL_WAY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/stage.h>

#define FAMILY_IP4 2
#define FAMILY_IP6 10

/* A BPF_FIB_LKUP_RET_…; what is ours, or goes nowhere, is not forwarded. */
static __always_inline long way_of(struct xdp_md *ctx, const struct sn_packet *packet, struct bpf_fib_lookup *way)
{
	way->ifindex = ctx->ingress_ifindex;
	if (packet->ip_version == 4) {
		way->family = FAMILY_IP4;
		way->ipv4_src = ((const __u32 *)packet->key.source)[3];
		way->ipv4_dst = ((const __u32 *)packet->key.destination)[3];
	} else {
		way->family = FAMILY_IP6;
		__builtin_memcpy(way->ipv6_src, packet->key.source, 16);
		__builtin_memcpy(way->ipv6_dst, packet->key.destination, 16);
	}
	return bpf_fib_lookup(ctx, way, sizeof(*way), 0);
}

#endif
