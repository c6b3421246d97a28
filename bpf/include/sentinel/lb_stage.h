/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stages of the balancer's data plane: global functions, each verified by itself. NULL is the verifier's idea. */
#ifndef SENTINEL_LB_STAGE_H
#define SENTINEL_LB_STAGE_H

#include <linux/bpf.h>

#include "inside.h"
#include "lb.h"
#include "stage.h"

enum sn_lb_known {
	SN_LB_NEW = 0,
	SN_LB_FOUND = 1, /* of a flow in the table */
	SN_LB_OVER = 2, /* opens another under the key of one that is in the table */
};

/* Where a packet goes; backend is SN_LB_BACKENDS while that is open. */
struct sn_lb_route {
	__u64 hash; /* of the flow */
	__u16 backend;
	__u16 second; /* the other node that the flow may live at; with `unsure`, and of UDP */
	__u8 opens; /* 1: counted as a new flow */
	__u8 about; /* 1: the key is that of a flow which this packet is about, not part of */
	__u8 known; /* enum sn_lb_known */
	__u8 unsure; /* 1: only its nodes know which of the two it lives at */
};

/* lb_choose.h, in l4lb.bpf.c: for all but known flows; fills the route and packet->reason. */
int sn_lb_place(struct sn_packet *packet, struct sn_vip *vip, struct sn_lb_route *route);

/* lb_send.h, in l4lb.bpf.c: enum sn_wish; for flows of which only the nodes know where they live. */
int sn_lb_send_unsure(struct xdp_md *ctx, struct sn_packet *packet, struct sn_lb_route *route);

/* lb_refuse.bpf.c: turns the packet into an ICMP "too big" to its sender. */
int sn_lb_refuse(struct xdp_md *ctx, struct sn_packet *packet, __u32 mtu);

/* lb_inner.bpf.c: 1 when the packet is an ICMP error about a flow from one of our addresses, whose key packet gets. */
int sn_lb_inner(struct xdp_md *ctx, struct sn_packet *packet);

/* lb_probe.bpf.c: enum sn_wish; SN_CONTINUE when it is no answer to a probe. */
int sn_lb_heard(struct xdp_md *ctx, struct sn_packet *packet);
/* lb_choose.h and lb_send.h: what belongs to their maps. */
int sn_lb_note_answer(__u32 backend, __u32 seq, __u64 now_ns, __u64 rtt_ns);
int sn_lb_is_address(__u32 backend, struct sn_packet *packet);

#endif
