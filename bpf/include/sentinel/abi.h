/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs and user space say to each other; flow.h, rules.h and reason.h hold the rest. Python reads
 * every layout and constant from the BTF of the built object (src/abi.bpf.c puts them there) and never retypes one.
 * Whoever changes a layout or the meaning of a field raises SN_ABI_VERSION; sentinel_bpf refuses to load an object of
 * another version.
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
	SN_SIZE_BUCKETS = 16, /* log2 of the frame's bytes */
	SN_GAP_BUCKETS = 32, /* log2 of the nanoseconds since the class's last packet on this CPU */
	SN_SOJOURN_BUCKETS =
		96, /* four an octave from 1 us: bucket 4 x octave + quarter starts at 2^octave x (1 + quarter / 4) */
	SN_CELL_BYTES = 128,
	SN_READY_MAX_AGE_MS = 500, /* readiness older than this is no data */
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
