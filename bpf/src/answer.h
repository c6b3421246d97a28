/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The class of a packet on its way out: that of the flow which it answers, or what the rules say of that. */
#ifndef SENTINEL_ANSWER_H
#define SENTINEL_ANSWER_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/stage.h>

#include "flow_table.h"
#include "generation.h"
#include "rtt.h"

#define FEW_RULES 8 /* comparing with so many costs no more than to look up what was found before */

struct sn_out_class {
	__u32 generation; /* of the rules that said so */
	__u8 class_id;
	__u8 dscp;
	__u16 _pad;
};
_Static_assert(sizeof(struct sn_out_class) == 8, "read at once");

/*
 * Of what answers no flow in the table: connections that were opened here, or whose other way is another device's.
 * A table of its own, for a flow's entry has one writer, and what only goes out is not traffic that came in.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sn_flow_key);
	__type(value, struct sn_out_class);
} sn_out_classes SEC(".maps");

/* Without it each packet would be compared with up to SN_RULES rules, which takes microseconds. */
static __always_inline int class_by_rules(struct sn_packet *packet, const struct sn_flow_key *answered)
{
	struct sn_out_class fresh = {}, *known;
	__u32 now = generation();

	if (sn_rule_count(now) <= FEW_RULES)
		return sn_class_of(packet);
	known = bpf_map_lookup_elem(&sn_out_classes, answered);
	if (known && known->generation == now && known->dscp == packet->dscp)
		return known->class_id;
	fresh.class_id = sn_class_of(packet);
	fresh.generation = packet->generation;
	fresh.dscp = packet->dscp;
	bpf_map_update_elem(&sn_out_classes, answered, &fresh, BPF_ANY);
	return fresh.class_id;
}

/*
 * A packet on its way out belongs to the flow that it answers: that flow's class is its own, and where it carries a
 * timestamp, the echo of it will tell the round trip to the client. The rules, too, are asked as if it came in.
 */
int sn_answered(struct sn_packet *packet)
{
	struct sn_flow_key answered;
	struct sn_flow *flow;

	if (!packet)
		return SN_UNMATCHED;
	reverse(&answered, &packet->key);
	packet->key = answered;
	flow = bpf_map_lookup_elem(&sn_flows, &answered);
	if (!flow)
		return class_by_rules(packet, &answered);
	if ((packet->flags & SN_TIMESTAMPS) && packet->timestamp != flow->timestamp_out)
		expect_echo(flow, packet);
	if (flow->rules_generation == generation())
		return flow->class_id;
	packet->dscp = flow->dscp;
	return class_by_rules(packet, &answered);
}

#endif
