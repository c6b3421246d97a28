/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow table: who talks how fast, over which round trip, in which class. What goes out is in answer.h. */
#ifndef SENTINEL_TRACK_H
#define SENTINEL_TRACK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/stage.h>

#include "flow_table.h"
#include "generation.h"
#include "pane.h"
#include "rtt.h"

/* The compiler describes an enumeration in BTF only when something has its type. */
const volatile enum sn_tcp_state sn_flow_states = SN_TCP_SYN_SEEN;
const volatile enum sn_top_const sn_flow_top = SN_TOP_SLOTS;

#define FORGOTTEN_NS (60 * NS_PER_S) /* a client keeps the ports of a connection that it closed for as long */

const volatile __u64 sn_udp_idle_ns = 30 * NS_PER_S; /* as long as a balancer takes a silent UDP flow for the same */

static __always_inline void update(struct sn_flow *flow, struct sn_packet *packet)
{
	flow->last_ns = packet->now_ns;
	flow->packets++;
	flow->bytes += packet->length;
	if (packet->key.protocol == IPPROTO_TCP && (packet->flags & SN_HAS_PORTS))
		follow_tcp(flow, packet);
	if (packet->now_ns - flow->pane_ns >= sn_pane_ns && packet->now_ns > flow->pane_ns)
		turn_pane(flow, packet);
	else if (((packet->flags & (SN_SYN | SN_CLOSES)) || tells(flow->packets)) && sn_sources_on)
		report(flow, packet);
}

static __always_inline int class_by_cache(struct sn_flow *flow, struct sn_packet *packet)
{
	if (flow->rules_generation != generation() || flow->dscp != packet->dscp) {
		flow->class_id = sn_class_of(packet);
		flow->rules_generation = packet->generation;
		flow->dscp = packet->dscp;
	}
	return flow->class_id;
}

/* Where a flow's first entry is put together: with it on the stack, kernels before 6.3 find the chain of calls too deep. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_flow);
} sn_fresh SEC(".maps");

/* A flow's first packet: remembered, and classified by the rules. */
int sn_begin(struct sn_packet *packet)
{
	struct sn_flow *flow;
	__u32 only = 0;

	if (!packet)
		return SN_UNMATCHED;
	flow = bpf_map_lookup_elem(&sn_fresh, &only);
	if (!flow)
		return SN_UNMATCHED;
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->class_id = sn_class_of(packet);
	flow->rules_generation = packet->generation;
	flow->dscp = packet->dscp;
	flow->ip_version = packet->ip_version;
	flow->first_ns = packet->now_ns;
	flow->pane_ns = packet->now_ns;
	flow->previous_ns = packet->now_ns;
	packet->flags |= SN_NEW_FLOW;
	update(flow, packet);
	enter(packet, flow);
	return flow->class_id;
}

/* Whether packets of the flow came this way; what closed or fell silent a while ago may be another's key by now. */
int sn_knows(struct sn_flow_key *wanted)
{
	struct sn_flow_key key;
	struct sn_flow *flow;

	if (!wanted)
		return 0;
	key = *wanted;
	flow = bpf_map_lookup_elem(&sn_flows, &key);
	if (!flow)
		return 0;
	if (key.protocol == IPPROTO_UDP)
		return bpf_ktime_get_ns() < flow->last_ns + sn_udp_idle_ns;
	return !(flow->tcp_state & (SN_TCP_FIN_SEEN | SN_TCP_RST_SEEN)) ||
	       bpf_ktime_get_ns() < flow->last_ns + FORGOTTEN_NS;
}

/* The class of a packet that comes in; the packet is on the caller's stack, where before 6.3 a key must lie. */
static __always_inline int sn_track(struct sn_packet *packet)
{
	struct sn_flow *flow = bpf_map_lookup_elem(&sn_flows, &packet->key);

	if (!flow)
		return sn_begin(packet);
	update(flow, packet);
	return class_by_cache(flow, packet);
}

#endif
