/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs and user space say to each other. Python reads every layout and constant below from the
 * BTF of the built object (src/abi.bpf.c puts them there) and never retypes one. Whoever changes a layout or the
 * meaning of a field raises SN_ABI_VERSION; sentinel_bpf refuses to load an object of another version.
 *
 * Integers are in host byte order unless their type says __be16, __be32 or __be64. Times are CLOCK_MONOTONIC.
 */
#ifndef SENTINEL_ABI_H
#define SENTINEL_ABI_H

#include <linux/types.h>

#define SN_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " is shared with user space")

enum sn_const {
	SN_ABI_VERSION = 1,
	SN_CLASSES = 16, /* class 0 holds what no rule matched */
	SN_UNMATCHED = 0,
	SN_RULES_PER_CLASS = 64,
	SN_RULES = 1024, /* of one generation: SN_CLASSES x SN_RULES_PER_CLASS */
	SN_SIZE_BUCKETS = 16, /* log2 of the frame's bytes */
	SN_GAP_BUCKETS = 32, /* log2 of the nanoseconds since the class's last packet on this CPU */
	SN_SOJOURN_BUCKETS = 96, /* four an octave from 1 us: bucket b starts at 2^(b/4) us x (1 + (b%4)/4) */
	SN_CELL_BYTES = 128,
	SN_READY_MAX_AGE_MS = 500, /* readiness older than this is no data */
};

/* What became of a packet; the detail is sn_reason. */
enum sn_verdict {
	SN_VERDICT_PASS = 0,
	SN_VERDICT_MARK = 1, /* passed, with Congestion Experienced */
	SN_VERDICT_DROP = 2,
	SN_VERDICT_REFLECT = 3, /* sent back where it came from */
	SN_VERDICTS = 4,
};

/* Why: one counter each, so that every packet can be accounted for. Only append. */
enum sn_reason {
	SN_REASON_PASSED = 0, /* parsed, in a class, within its order */
	SN_REASON_NOT_IP = 1,
	SN_REASON_TRUNCATED = 2,
	SN_REASON_MALFORMED = 3,
	SN_REASON_VLAN_TOO_DEEP = 4,
	SN_REASON_EXTENSIONS_TOO_LONG = 5,
	SN_REASON_FRAGMENT = 6, /* no ports: by address pair */
	SN_REASON_OTHER_PROTOCOL = 7, /* neither TCP, UDP nor ICMP: by address pair */
	SN_REASON_NO_ORDER = 8, /* its class was never given one */
	SN_REASON_LEASE_OVER = 9, /* the order ran out: passed untouched */
	SN_REASON_MARKED = 10,
	SN_REASON_NOT_ECN_CAPABLE = 11, /* due a mark, cannot carry one: passed */
	SN_REASON_EARLY_DROP = 12, /* by the controller's probability */
	SN_REASON_OVER_LIMIT = 13, /* the virtual queue stands at max_bytes */
	SN_REASON_OVER_RATE = 14, /* a token bucket ran dry */
	SN_REASON_PROBE_REFLECTED = 15,
	SN_REASON_PROBE_OVER_RATE = 16,
	SN_REASON_PROBE_FOREIGN = 17, /* from a source that is not allowed */
	SN_REASON_DECAPSULATED = 18,
	SN_REASON_TUNNEL_FOREIGN = 19, /* our encapsulation from a source that is not allowed */
	SN_REASON_TUNNEL_MALFORMED = 20,
	SN_REASON_FLOW_TABLE_FULL = 21,
	SN_REASON_NO_SUCH_CPU = 22, /* more CPUs than counter cells: passed, uncounted by class */
	SN_REASONS = 32, /* size of the counter array: room to append */
};

/*
 * User space orders, the kernel obeys while now < valid_until_ns. Past it every packet passes untouched.
 * Gains are Q16.16 (65536 is 1.0) and act on (delay - target) / target; the result is a probability.
 */
struct sn_order {
	__u64 valid_until_ns;
	__u64 max_bytes; /* queue limit; >= this is refused, so that a shrunk limit heals itself */
	__u64 drain_Bps;
	__u32 target_us;
	__u32 kp;
	__u32 ki;
	__u32 kd;
	__u32 flags; /* enum sn_order_flag */
	__u32 seq; /* of the decision that wrote it, for the audit trail */
};
SN_SIZE(struct sn_order, 48);

enum sn_order_flag {
	SN_ORDER_POLICE = 1, /* drop over the limit; without it the virtual queue only measures and marks */
	SN_ORDER_MARK = 2, /* ECN-capable packets are marked instead of dropped early */
	SN_ORDER_QUEUE = 4, /* ingress goes through the queue device while the lease lasts */
};

/* Counters of one class on one CPU: index cpu x SN_CLASSES + class, one writer a cell, so plain adds are exact. */
struct sn_cell {
	__u64 packets;
	__u64 bytes;
	__u64 new_flows;
	__u64 syns;
	__u64 drops;
	__u64 drop_bytes;
	__u64 marks;
	__u64 lease_over; /* packets passed because their order had run out */
	__u64 closes; /* FIN or RST seen */
	__u64 fragments;
	__u64 last_seen_ns;
	__u64 _pad[5];
};
SN_SIZE(struct sn_cell, SN_CELL_BYTES);

/* Shapes of one class's traffic on one CPU; same index as sn_cell. */
struct sn_shape {
	__u64 size[SN_SIZE_BUCKETS];
	__u64 gap[SN_GAP_BUCKETS];
};
SN_SIZE(struct sn_shape, 384);

/* Time spent in our queue, of one class on one CPU; same index as sn_cell. */
struct sn_sojourn {
	__u64 bucket[SN_SOJOURN_BUCKETS];
};
SN_SIZE(struct sn_sojourn, 768);

/* How full one class's queue is: written by the qdisc (tier A) or by the agent from netlink (tier B). */
struct sn_queue {
	__u64 backlog_bytes;
	__u64 backlog_packets;
	__u64 limit_bytes;
	__u64 sent_bytes;
	__u64 sent_packets;
	__u64 drops;
	__u64 drop_bytes;
	__u64 seen_ns;
};
SN_SIZE(struct sn_queue, 64);

/* XDP puts the class in front of the packet (data_meta); tc turns it into skb->priority. */
struct sn_meta {
	__u32 magic; /* SN_META_MAGIC: a driver may have put metadata of its own there */
	__u32 class_id;
};
SN_SIZE(struct sn_meta, 8);

/* ---- rules ---- */

/* IPv4 addresses are written as ::ffff:a.b.c.d with masks to match; a field that is not asked about matches all. */
struct sn_rule {
	__be32 source[4];
	__be32 source_mask[4];
	__be32 destination[4];
	__be32 destination_mask[4];
	__u64 dscp_set; /* bit n: DSCP n matches; all ones: any */
	__u16 source_port_min;
	__u16 source_port_max;
	__u16 destination_port_min;
	__u16 destination_port_max;
	__u8 protocol; /* 0: any */
	__u8 class_id;
	__u8 family; /* 4, 6, or 0: any */
	__u8 _pad[5];
};
SN_SIZE(struct sn_rule, 88);

/*
 * The rule set is double-buffered: user space fills rules [(1 - active) x SN_RULES, ...), then stores `active`.
 * First match wins. `generation` only ever grows: a class cached under an older one is looked up again.
 */
struct sn_rules_head {
	__u32 active;
	__u32 generation;
	__u32 count[2];
};
SN_SIZE(struct sn_rules_head, 16);

/* ---- balancer and liveness ---- */

/* Room a backend has for a class, by the balancer's clock: index backend x SN_CLASSES + class. */
struct sn_ready {
	__u64 headroom_bytes;
	__u64 seen_ns;
};
SN_SIZE(struct sn_ready, 16);

/* UDP payload of a probe through the tunnel. The node turns ASK into ANSWER and touches nothing else of it. */
struct sn_probe {
	__be32 magic; /* SN_PROBE_MAGIC */
	__u8 version; /* SN_PROBE_VERSION */
	__u8 kind; /* enum sn_probe_kind */
	__be16 backend;
	__be32 seq;
	__be32 _pad;
	__be64 sent_ns; /* the prober's clock, opaque to the node */
};
SN_SIZE(struct sn_probe, 24);

enum sn_probe_kind {
	SN_PROBE_ASK = 1,
	SN_PROBE_ANSWER = 2,
};

enum sn_wire {
	SN_META_MAGIC = 0x534e4d31, /* "SNM1" */
	SN_PROBE_MAGIC = 0x534e5031, /* "SNP1" */
	SN_PROBE_VERSION = 1,
	SN_PROBE_PORT = 18471,
	SN_TUNNEL_PORT = 18472,
};

/* What the balancer's XDP knows of one backend. */
struct sn_seen {
	__u64 last_seen_ns;
	__u64 rtt_ns;
	__u64 answers;
	__u32 seq; /* of the last answer */
	__u32 _pad;
};
SN_SIZE(struct sn_seen, 32);

/* The prober's own heartbeat: when it is old, last_seen_ns proves nothing and every backend counts as alive. */
struct sn_prober {
	__u64 beat_ns;
	__u64 period_ns;
};
SN_SIZE(struct sn_prober, 16);

#endif
