/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A frame's front moved in or out, for a header more or less behind Ethernet and its tags, which come along. */
#ifndef SENTINEL_HEAD_H
#define SENTINEL_HEAD_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "parse.h"

/* Two bytes at a time, as headers are aligned: of memory of no type the compiler copies each byte by itself. */
static __always_inline void sn_copy_pairs(void *to, const void *from, __u32 bytes)
{
#pragma unroll
	for (__u32 i = 0; i < bytes / sizeof(__u16); i++)
		((__u16 *)to)[i] = ((const __u16 *)from)[i];
}

/* `head` is a constant in every call: the copies are a few moves. */
static __always_inline int sn_move_by(struct xdp_md *ctx, __u32 head, int delta, __be16 type)
{
	__u16 saved[(ETH_HLEN + SN_MAX_VLANS * sizeof(struct sn_vlan)) / sizeof(__u16)];
	void *data = (void *)(long)ctx->data;

	if (data + head > (void *)(long)ctx->data_end)
		return -1;
	sn_copy_pairs(saved, data, head);
	if (bpf_xdp_adjust_head(ctx, delta))
		return -1;
	data = (void *)(long)ctx->data;
	if (data + head > (void *)(long)ctx->data_end)
		return -1;
	sn_copy_pairs(data, saved, head);
	*(__be16 *)(data + head - sizeof(type)) = type;
	return 0;
}

/* Bytes taken off (or, below zero, added) in front of the IP header; `type` says what then follows the tags. */
static __always_inline int sn_move_head(struct xdp_md *ctx, const struct sn_packet *packet, int delta, __be16 type)
{
	switch (packet->l3_offset) {
	case ETH_HLEN:
		return sn_move_by(ctx, ETH_HLEN, delta, type);
	case ETH_HLEN + sizeof(struct sn_vlan):
		return sn_move_by(ctx, ETH_HLEN + sizeof(struct sn_vlan), delta, type);
	default:
		return sn_move_by(ctx, ETH_HLEN + SN_MAX_VLANS * sizeof(struct sn_vlan), delta, type);
	}
}

#endif
