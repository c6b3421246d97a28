/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Round trips, by the handshake and by timestamps, and how far TCP has come. Part of track.h. */
#ifndef SENTINEL_RTT_H
#define SENTINEL_RTT_H

#include "flow_table.h"

const volatile __u64 sn_ask_ns = 100000000;

#define MAX_RTT_NS (60 * NS_PER_S)
#define ECHO_LOST_NS NS_PER_S
#define ACK 0x10
#define SYN 0x02
#define FIN 0x01
#define RST 0x04

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

static __always_inline void follow_tcp(struct sn_flow *flow, const struct sn_packet *packet)
{
	if ((packet->tcp_flags & (SYN | FIN | RST)) || !(flow->tcp_state & (SN_TCP_ESTABLISHED | SN_TCP_MIDSTREAM)))
		follow_state(flow, packet);
	if (packet->flags & SN_TIMESTAMPS)
		follow_timestamps(flow, packet);
}

#endif
