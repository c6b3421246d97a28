/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ordered rules that name a packet's class; agent and balancer load the same. Two banks: the writer fills the one
 * that rests, (generation + 1) & 1, with its count, and then stores the new generation; that one store is the swap.
 */
#ifndef SENTINEL_RULES_H
#define SENTINEL_RULES_H

#include <linux/types.h>

enum sn_rules_const {
	SN_RULES = 1024, /* of one generation: 16 classes × 64 */
};

/* sn_rule.checks: what the rule looks at beside the addresses; a zero mask accepts every address. */
enum sn_rule_check {
	SN_RULE_PROTOCOL = 1,
	SN_RULE_DSCP = 2,
	SN_RULE_PORTS = 4, /* never true of a packet without ports */
};

struct sn_rule {
	__u8 source[16]; /* IPv4 is mapped, so a v4 prefix of n bits is one of 96 + n */
	__u8 source_mask[16];
	__u8 destination[16];
	__u8 destination_mask[16];
	__u16 source_port_min;
	__u16 source_port_max;
	__u16 destination_port_min;
	__u16 destination_port_max;
	__u8 protocol;
	__u8 dscp;
	__u8 class_id;
	__u8 checks; /* enum sn_rule_check */
	__u32 _pad;
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct sn_rule) == 80, "written by user space");

/* Generation 0 holds no rules: everything is class 0. sn_rules is indexed by bank × SN_RULES + position. */
struct sn_rules_head {
	__u32 generation;
	__u32 count_even;
	__u32 count_odd;
	__u32 _pad;
};
_Static_assert(sizeof(struct sn_rules_head) == 16, "written by user space");

#endif
