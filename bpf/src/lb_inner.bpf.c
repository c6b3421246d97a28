// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ICMP errors: what a router says of a packet that a node sent in the VIP's name belongs to that node. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

int sn_lb_inner(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};

	if (!packet || packet->flags & SN_FRAGMENT)
		return 0;
	return sn_about(&span, packet->l4_offset, packet->ip_end, &packet->key);
}
