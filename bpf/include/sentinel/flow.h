/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the data plane remembers of a flow, of a source, and of the biggest flows. */
#ifndef SENTINEL_FLOW_H
#define SENTINEL_FLOW_H

#include <linux/types.h>

/* IPv4 addresses are mapped (::ffff:a.b.c.d), so that one table serves both; ports are zero where there are none. */
struct sn_flow_key {
	__u8 source[16];
	__u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 _pad[3];
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct sn_flow_key) == 40, "a map key has no hidden padding");

enum sn_tcp_state {
	SN_TCP_SYN_SEEN = 1,
	SN_TCP_FIN_SEEN = 2,
	SN_TCP_RST_SEEN = 4,
	SN_TCP_ESTABLISHED = 8, /* an ACK came after the SYN */
	SN_TCP_MIDSTREAM = 16, /* first seen without SYN: older than the entry, or evicted before */
};

/*
 * Plain stores, no atomics: a flow stays on one CPU (RSS), and where it moves, a lost increment of its own counters
 * is the price; the class counters are exact.
 *
 * One cache line a purpose, given that the kernel puts 48 bytes and the key in front and packs elements: what every
 * packet touches ends with the second line, what only TCP's timestamps and states need is the third, and what only a
 * turning pane needs the fourth. The sums of a pane are told by where `bytes` stood at its start.
 */
struct sn_flow {
	__u64 last_ns;
	__u64 packets;
	__u64 bytes;
	__u64 pane_ns; /* start of the running pane of the sliding window, which has two */
	__u32 rules_generation;
	__u8 class_id;
	__u8 dscp;
	__u8 tcp_state; /* enum sn_tcp_state */
	__u8 ip_version;

	__u32 timestamp; /* last TCP timestamp value of this direction */
	__u32 timestamp_out; /* last value that was sent to this flow's source */
	__u64 echo_ns; /* when the peer was sent echo_value, whose echo is awaited; zero: none is */
	__u64 asked_ns; /* last time the other direction was told to await an echo */
	__u64 syn_ns; /* zero: none, or sent again, so that its round trip is ambiguous */
	__u64 first_ns;
	__u32 echo_value;
	__u32 _pad[5];

	__u64 previous_ns; /* start of the pane before */
	__u64 pane_from_bytes; /* of `bytes`, at the start of the running pane */
	__u64 previous_from_bytes; /* and of the one before */
	__u64 throughput_Bps; /* over the sliding window */
	__u64 bdp_bytes;
	__u64 optimal_bytes; /* BDP × 1.5 × 1.2 */
	__u32 rtt_us; /* smoothed; zero while unknown */
	__u32 rtt_min_us;
	__u32 reported_packets; /* low half of `packets`, of which the source's rate knows */
	__u32 reported_ms; /* when it was told, in 2^20 ns */
};
_Static_assert(sizeof(struct sn_flow) == 168, "read by user space; with 48 bytes and the key four cache lines");

/* Index: cpu. What entered and is no longer in the table was evicted: nothing else takes a flow out of it. */
struct sn_flow_sums {
	__u64 entered;
	__u64 refused; /* the table had no place for it, not even by eviction */
	__u64 _line[6];
};
_Static_assert(sizeof(struct sn_flow_sums) == 64, "read by user space");

/*
 * Counted only; the rates hold over the window that ended last. A lower bound: a flow that falls silent may have up to 31
 * packets untold, and fewer than it told of. They are `packets` less `reported_packets` of the flows of this source.
 */
struct sn_source {
	__u64 window_ns; /* start of the running window */
	__u64 packets;
	__u64 syns;
	__u64 window_packets;
	__u64 window_syns;
	__u64 packets_per_s;
	__u64 syns_per_s;
};
_Static_assert(sizeof(struct sn_source) == 56, "read by user space");

enum sn_top_const {
	SN_TOP_SLOTS = 64,
	SN_TOP_WAYS = 4, /* slots that a flow may have: five of the ten biggest rarely want the same four */
};

/* Index: cpu × SN_TOP_SLOTS + slot. A bigger or a fresher flow takes the slot of the smallest it may have. */
struct sn_top_flow {
	struct sn_flow_key key;
	__u64 throughput_Bps;
	__u64 seen_ns;
	__u32 class_id;
	__u32 _pad;
};
_Static_assert(sizeof(struct sn_top_flow) == 64, "read by user space");

#endif
