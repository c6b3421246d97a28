// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The parser as a stage: verified once, called by every entry program, whatever kind of packet it is given. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/stage.h>

int sn_parse_xdp(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};

	if (!packet)
		return SN_NOT_OURS;
	/* Jumbo frames come in fragments, of which the first holds the headers. */
	span.length = bpf_xdp_get_buff_len(ctx);
	return sn_parse_span(&span, packet);
}

int sn_parse_skb(struct __sk_buff *skb, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)skb->data, (void *)(long)skb->data_end, 0};

	if (!packet)
		return SN_NOT_OURS;
	span.length = skb->len;
	return sn_parse_span(&span, packet);
}
