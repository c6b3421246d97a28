/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow table: who talks how fast, over which round trip, in which class. */
#ifndef SENTINEL_TRACK_H
#define SENTINEL_TRACK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/rules.h>
#include <sentinel/stage.h>

/* The compiler describes an enumeration in BTF only when something has its type. */
const volatile enum sn_tcp_state sn_flow_states = SN_TCP_SYN_SEEN;
const volatile enum sn_top_const sn_flow_top = SN_TOP_SLOTS;

const volatile __u64 sn_pane_ns = 50000000;
const volatile __u64 sn_ask_ns = 100000000;
const volatile __u32 sn_sources_on = 1;
const volatile __u32 sn_top_on = 1;

#define NS_PER_S 1000000000ull
#define MAX_RTT_NS (60 * NS_PER_S)
#define MAX_THROUGHPUT (1ull << 38) /* times MAX_RTT in microseconds stays within 64 bits */
#define PANE_BYTES_MAX (1ull << 34) /* times NS_PER_S stays within 64 bits */
#define ECHO_LOST_NS NS_PER_S
#define REPORT_PACKETS 32
#define REPORT_MS 200
#define ACK 0x10
#define SYN 0x02
#define FIN 0x01
#define RST 0x04
#define EEXIST 17

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct sn_flow_key);
	__type(value, struct sn_flow);
} sn_flows SEC(".maps");

/* Sized at load for the CPUs there are. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_flow_sums);
} sn_flow_sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_TOP_SLOTS);
	__type(key, __u32);
	__type(value, struct sn_top_flow);
} sn_top SEC(".maps");

/* Here, and not with the rules, because every packet asks whether its flow's class is still of this generation. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_rules_head);
} sn_rules_head SEC(".maps");

#define READ_ONCE(place) (*(const volatile typeof(place) *)&(place))

static __always_inline __u32 generation(void)
{
	__u32 zero = 0;
	struct sn_rules_head *head = bpf_map_lookup_elem(&sn_rules_head, &zero);

	return head ? READ_ONCE(head->generation) : 0;
}

int sn_generation(void)
{
	return generation();
}

int sn_rule_count(__u32 of_generation)
{
	__u32 zero = 0;
	struct sn_rules_head *head = bpf_map_lookup_elem(&sn_rules_head, &zero);

	if (!head)
		return 0;
	return of_generation & 1 ? READ_ONCE(head->count_odd) : READ_ONCE(head->count_even);
}

static __always_inline void note_rtt(struct sn_flow *flow, __u64 sample_ns)
{
	__u32 sample_us;

	/* Beyond any real one: a clock of another CPU that is a little behind, or a value met by chance. */
	if (sample_ns > MAX_RTT_NS)
		return;
	sample_us = sample_ns / 1000 + !(sample_ns / 1000);
	if (!flow->rtt_min_us || sample_us < flow->rtt_min_us)
		flow->rtt_min_us = sample_us;
	flow->rtt_us = flow->rtt_us ? flow->rtt_us - flow->rtt_us / 8 + sample_us / 8 : sample_us;
}

static __always_inline void reverse(struct sn_flow_key *to, const struct sn_flow_key *from)
{
	*to = *from;
	__builtin_memcpy(to->source, from->destination, sizeof(to->source));
	__builtin_memcpy(to->destination, from->source, sizeof(to->destination));
	to->source_port = from->destination_port;
	to->destination_port = from->source_port;
}

/* Unless an echo is still awaited; one that was lost is forgotten after a while. */
static __always_inline void expect_echo(struct sn_flow *flow, const struct sn_packet *packet)
{
	flow->timestamp_out = packet->timestamp;
	if (flow->echo_ns && packet->now_ns - flow->echo_ns < ECHO_LOST_NS)
		return;
	flow->echo_value = packet->timestamp;
	flow->echo_ns = packet->now_ns;
}

/* The other direction will carry this packet's timestamp back; its entry measures how long that takes. */
static __always_inline void await_echo(const struct sn_packet *packet)
{
	struct sn_flow_key other;
	struct sn_flow *flow;

	reverse(&other, &packet->key);
	flow = bpf_map_lookup_elem(&sn_flows, &other);
	if (flow)
		expect_echo(flow, packet);
}

static __always_inline void follow_timestamps(struct sn_flow *flow, const struct sn_packet *packet)
{
	__u64 now = packet->now_ns;

	if (flow->echo_ns && (packet->tcp_flags & ACK) && (__s32)(packet->echo - flow->echo_value) >= 0) {
		note_rtt(flow, now - flow->echo_ns);
		flow->echo_ns = 0;
	}
	/* Only the first packet with a value: the peer echoes a value once for all that carried it. */
	if (packet->timestamp == flow->timestamp)
		return;
	flow->timestamp = packet->timestamp;
	if (now - flow->asked_ns < sn_ask_ns)
		return;
	flow->asked_ns = now;
	await_echo(packet);
}

/*
 *   SYN ──► SYN_SEEN ──ACK──► ESTABLISHED ──FIN or RST──► FIN_SEEN / RST_SEEN ──SYN──► SYN_SEEN
 *   no SYN ─► MIDSTREAM ─────────────────────────┘
 */
static __always_inline void follow_state(struct sn_flow *flow, const struct sn_packet *packet)
{
	__u8 flags = packet->tcp_flags;

	if (flags & SYN) {
		int again = flow->tcp_state == SN_TCP_SYN_SEEN;

		flow->tcp_state = SN_TCP_SYN_SEEN;
		flow->syn_ns = again ? 0 : packet->now_ns;
		return;
	}
	if (!(flow->tcp_state & (SN_TCP_SYN_SEEN | SN_TCP_MIDSTREAM)))
		flow->tcp_state |= SN_TCP_MIDSTREAM;
	if ((flags & ACK) && (flow->tcp_state & SN_TCP_SYN_SEEN) && !(flow->tcp_state & SN_TCP_ESTABLISHED)) {
		flow->tcp_state |= SN_TCP_ESTABLISHED;
		if (flow->syn_ns)
			note_rtt(flow, packet->now_ns - flow->syn_ns);
	}
	if (flags & FIN)
		flow->tcp_state |= SN_TCP_FIN_SEEN;
	if (flags & RST)
		flow->tcp_state |= SN_TCP_RST_SEEN;
}

static __always_inline __u32 slot_of(const struct sn_flow_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 mixed = (words[0] ^ words[2]) * 3 + (words[1] ^ (words[3] << 1)) + words[4];

	return (mixed * 0x9e3779b97f4a7c15ull) >> 58;
}

static __always_inline int same(const struct sn_flow_key *one, const struct sn_flow_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4];
}

/* A slot belongs to the biggest flow that hashes to it, until that falls silent. */
static __always_inline void enter_top(const struct sn_flow *flow, const struct sn_packet *packet)
{
	__u32 index = packet->cpu * SN_TOP_SLOTS + slot_of(&packet->key);
	struct sn_top_flow *top = bpf_map_lookup_elem(&sn_top, &index);

	if (!top)
		return;
	if (flow->throughput_Bps < top->throughput_Bps && packet->now_ns - top->seen_ns < NS_PER_S &&
	    !same(&top->key, &packet->key))
		return;
	top->key = packet->key;
	top->throughput_Bps = flow->throughput_Bps;
	top->seen_ns = packet->now_ns;
	top->class_id = flow->class_id;
}

static __always_inline __u64 capped(__u64 value, __u64 most)
{
	return value > most ? most : value;
}

static __always_inline __u32 in_ms(__u64 ns)
{
	return ns >> 20;
}

/* A source's rates are those of whole seconds: few packets may wait for others to be told with. */
static __always_inline int report_is_due(const struct sn_flow *flow, __u64 now)
{
	return (__u32)flow->packets - flow->reported_packets >= REPORT_PACKETS ||
	       in_ms(now) - flow->reported_ms >= REPORT_MS;
}

static __always_inline void report(struct sn_flow *flow, struct sn_packet *packet)
{
	sn_blame(packet, (__u32)flow->packets - flow->reported_packets);
	flow->reported_packets = flow->packets;
	flow->reported_ms = in_ms(packet->now_ns);
}

/* A pane is over: reckon the throughput over it and the one before, and what follows from that. */
static __always_inline void turn_pane(struct sn_flow *flow, struct sn_packet *packet)
{
	__u64 now = packet->now_ns;
	__u64 before = flow->bytes - packet->length;
	__u64 bytes = capped(before - flow->previous_from_bytes, PANE_BYTES_MAX);

	flow->throughput_Bps = capped(bytes * NS_PER_S / (now - flow->previous_ns), MAX_THROUGHPUT);
	flow->previous_ns = flow->pane_ns;
	flow->previous_from_bytes = flow->pane_from_bytes;
	flow->pane_ns = now;
	flow->pane_from_bytes = before;
	flow->bdp_bytes = flow->throughput_Bps * flow->rtt_us / 1000000;
	flow->optimal_bytes = flow->bdp_bytes * 9 / 5;
	if (sn_top_on)
		enter_top(flow, packet);
	if (sn_sources_on && report_is_due(flow, now))
		report(flow, packet);
}

static __always_inline void follow_tcp(struct sn_flow *flow, const struct sn_packet *packet)
{
	if ((packet->tcp_flags & (SYN | FIN | RST)) || !(flow->tcp_state & (SN_TCP_ESTABLISHED | SN_TCP_MIDSTREAM)))
		follow_state(flow, packet);
	if (packet->flags & SN_TIMESTAMPS)
		follow_timestamps(flow, packet);
}

static __always_inline void update(struct sn_flow *flow, struct sn_packet *packet)
{
	flow->last_ns = packet->now_ns;
	flow->packets++;
	flow->bytes += packet->length;
	if (packet->key.protocol == IPPROTO_TCP && (packet->flags & SN_HAS_PORTS))
		follow_tcp(flow, packet);
	if (packet->now_ns - flow->pane_ns >= sn_pane_ns && packet->now_ns > flow->pane_ns)
		turn_pane(flow, packet);
	else if ((packet->flags & (SN_SYN | SN_NEW_FLOW | SN_CLOSES)) && sn_sources_on)
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

/* Another CPU may have entered the same flow meanwhile (EEXIST): its entry serves both. */
static __always_inline void enter(const struct sn_packet *packet, const struct sn_flow *flow)
{
	struct sn_flow_key key = packet->key; /* before 6.3 a key must lie on the stack */
	long failed = bpf_map_update_elem(&sn_flows, &key, flow, BPF_NOEXIST);
	__u32 index = packet->cpu;
	struct sn_flow_sums *sums = bpf_map_lookup_elem(&sn_flow_sums, &index);

	if (!sums)
		return;
	if (!failed)
		sums->entered++;
	else if (failed != -EEXIST)
		sums->refused++;
}

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

/* The class of a packet that comes in; the packet is on the caller's stack, where before 6.3 a key must lie. */
static __always_inline int sn_track(struct sn_packet *packet)
{
	struct sn_flow *flow = bpf_map_lookup_elem(&sn_flows, &packet->key);

	if (!flow)
		return sn_begin(packet);
	update(flow, packet);
	return class_by_cache(flow, packet);
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
		return sn_class_of(packet);
	if ((packet->flags & SN_TIMESTAMPS) && packet->timestamp != flow->timestamp_out)
		expect_echo(flow, packet);
	return flow->rules_generation == (__u32)sn_generation() ? flow->class_id : sn_class_of(packet);
}

#endif
