/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The stages of the agent's data plane. Each is a global function (verified by itself) in a file of its own, with its
 * own maps and its own load-time switch; an entry program calls them in order. A packet of NULL is the verifier's idea.
 */
#ifndef SENTINEL_STAGE_H
#define SENTINEL_STAGE_H

#include <linux/bpf.h>

#include "abi.h"
#include "parse.h"

/* What a stage wants done; CONTINUE hands the packet to the next one. */
enum sn_wish {
	SN_CONTINUE = 0,
	SN_PASS = 1,
	SN_DROP = 2,
	SN_REFLECT = 3,
};

/* The reason is of enum sn_reason, or of an entry program's own. */
static __always_inline int sn_decided(struct sn_packet *packet, __u32 reason, enum sn_wish wish)
{
	packet->reason = reason;
	return wish;
}

static __always_inline int sn_xdp_action(int wish)
{
	switch (wish) {
	case SN_DROP:
		return XDP_DROP;
	case SN_REFLECT:
		return XDP_TX;
	default:
		return XDP_PASS;
	}
}

/* parse.bpf.c: enum sn_outcome, the packet filled as far as it was understood. */
int sn_parse_xdp(struct xdp_md *ctx, struct sn_packet *packet);
int sn_parse_skb(struct __sk_buff *skb, struct sn_packet *packet);

/* rules.bpf.c: the class of a packet by the ordered rules; the generation that said so is left in packet->generation. */
int sn_class_of(struct sn_packet *packet);

/* track.h: remembers a new flow and names its class; a known one is the entry program's own affair, in line. */
int sn_begin(struct sn_packet *packet);
/* track.h: whether packets of the flow, which came in, passed here. */
int sn_knows(struct sn_flow_key *wanted);
/* Of the rules in force, and how many a generation has. */
int sn_generation(void);
int sn_rule_count(__u32 generation);
/* answer.h: the class of a packet on its way out; its key is turned into that of the flow it answers. */
int sn_answered(struct sn_packet *packet);

/* source.bpf.c: packet and SYN rate of a source. */
int sn_blame(struct sn_packet *packet, __u32 packets);

/* count.h, in ingress.bpf.c: the packet's reason, and its class where it has one; the last stage of every packet. */
int sn_conclude(struct sn_packet *packet, __u32 wish);

/* police.h, in ingress.bpf.c: enum sn_wish of the class's virtual queue. */
int sn_police(struct xdp_md *ctx, struct sn_packet *packet);
/* enum sn_order_flag of the class's order, or 0 once its lease is over. */
int sn_live_flags(__u32 class_id, __u64 now_ns);

/* classify.bpf.c: whether our queue is the root of this device, so that a packet's class leads to its place in it. */
int sn_queue_on(__u32 ifindex);

/* tunnel.bpf.c and probe.bpf.c: enum sn_wish; SN_CONTINUE after the tunnel's header is off, and packet is new. */
int sn_decapsulate(struct xdp_md *ctx, struct sn_packet *packet);
/* onward.bpf.c: of a packet with SN_TWICE, enum sn_whose, and the way on for one that is another node's. */
enum sn_whose {
	SN_NO_FLOW = 0, /* no ports inside: nothing that a balancer wraps twice */
	SN_OURS = 1,
	SN_ANOTHERS = 2,
};
int sn_whose(struct xdp_md *ctx, struct sn_packet *packet);
int sn_pass_on(struct xdp_md *ctx, struct sn_packet *packet);
int sn_answer(struct xdp_md *ctx, struct sn_packet *packet);
int sn_may_probe(struct sn_packet *packet, __u64 gap_ns);
/* tunnel.bpf.c: the frame's hardware address is ours, for a probe inside was for an address of ours. */
int sn_note_own(struct xdp_md *ctx, __u64 now_ns);

#endif
