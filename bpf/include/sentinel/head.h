/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A frame's front moved in or out, for a header more or less behind Ethernet and its tags, which come along. */
#ifndef SENTINEL_HEAD_H
#define SENTINEL_HEAD_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "parse.h"

/* `head` is a constant in every call: the copies are a few moves. */
static __always_inline int sn_move_by(struct xdp_md *ctx, __u32 head, int delta, __be16 type)
{
	__u8 saved[ETH_HLEN + SN_MAX_VLANS * sizeof(struct sn_vlan)];
	void *data = (void *)(long)ctx->data;

	if (data + head > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(saved, data, head);
	if (bpf_xdp_adjust_head(ctx, delta))
		return -1;
	data = (void *)(long)ctx->data;
	if (data + head > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(data, saved, head);
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
