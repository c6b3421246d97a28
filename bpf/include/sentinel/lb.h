/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the balancer's XDP and its control plane say to each other. IPv4 addresses are mapped (::ffff:a.b.c.d).
 * Readiness, probes and the prober's heartbeat are in abi.h.
 */
#ifndef SENTINEL_LB_H
#define SENTINEL_LB_H

#include <linux/types.h>

#include "flow.h"
#include "reason.h"

enum sn_lb_const {
	SN_LB_SLOTS = 65537, /* of one ring */
	SN_LB_VIPS = 256,
	SN_LB_BACKENDS = 1024,
	SN_LB_OPENINGS = 65536, /* a power of two */
	SN_LB_NEAR = 64, /* VIPs that a CPU finds without asking the table */
	SN_LB_REASONS = 64, /* what the parser found wrong keeps its number; ours follow */
};

/* Port 0 stands for the fragments of its address and protocol, which have no port. */
struct sn_vip_key {
	__u8 address[16];
	__be16 port;
	__u8 protocol;
	__u8 _pad;
};
_Static_assert(sizeof(struct sn_vip_key) == 20, "a map key has no hidden padding");

enum sn_vip_flag {
	SN_VIP_STICKY = 1, /* a client address keeps its node; the flow is the address pair */
};

struct sn_vip {
	__u64 idle_ns; /* a flow that was silent for longer may be placed anew by a packet that opens one; 0: never */
	__u32 ring; /* sn_lb_rings[ring × SN_LB_SLOTS + slot]; VIPs with the same backends share one */
	__u32 index; /* of its counters, below SN_LB_VIPS */
	__u32 flags; /* enum sn_vip_flag */
	__u32 _pad;
};
_Static_assert(sizeof(struct sn_vip) == 24, "written by user space");

/* One slot of a ring, stored as one word so that no packet sees half of it. */
struct sn_pair {
	__u16 first;
	__u16 second;
} __attribute__((aligned(4)));
_Static_assert(sizeof(struct sn_pair) == 4, "written by user space");

/* What the program must know of its interface and of its tables; each field is one store. */
struct sn_lb_own {
	__u64 mac; /* six bytes as in a frame, then two of zero; zero: not known, so that every frame is ours */
	__u64 changes; /* of the VIPs: one more after each */
};
_Static_assert(sizeof(struct sn_lb_own) == 16, "written by user space");

/*
 * Index: cpu × SN_LB_NEAR + place. A VIP as this CPU last found it: the table's hash costs more than all else that is
 * asked of a packet that goes nowhere new.
 */
struct sn_lb_near {
	struct sn_vip_key key;
	__u32 _pad;
	__u64 as_of; /* one more than sn_lb_own.changes was; zero: nothing is here */
	struct sn_vip vip;
	__u64 _line;
};
_Static_assert(sizeof(struct sn_lb_near) == 64, "one cache line");

enum sn_encap {
	SN_ENCAP_NONE = 0, /* no such backend */
	SN_ENCAP_IP = 1, /* IPIP or IP6IP6, by the backend's address */
	SN_ENCAP_UDP = 2, /* for networks that block these */
	SN_ENCAP_L2 = 3, /* same segment: only the Ethernet destination changes */
};

/* Where a backend is. mac is the next hop's, mtu that of the way there, the outer header included. */
struct sn_backend {
	__u8 address[16];
	__u8 mac[6];
	__u16 mtu;
	__u8 encap; /* enum sn_encap */
	__u8 _pad[7];
};
_Static_assert(sizeof(struct sn_backend) == 32, "written by user space");

enum sn_backend_flag {
	SN_BACKEND_PRESENT = 1,
	SN_BACKEND_DRAINING = 2, /* keeps its flows, gets no new ones */
	SN_BACKEND_SUSPECTED = 4, /* the mesh believes it gone */
};

/* How a backend is. A number that is used again gets another generation, so that old flows do not follow it. */
struct sn_backend_state {
	__u64 mesh_ns; /* when its last mesh record was received */
	__u32 flags; /* enum sn_backend_flag */
	__u32 load; /* only compared */
	__u32 generation;
	__u32 _pad;
};
_Static_assert(sizeof(struct sn_backend_state) == 24, "written by user space");

/* The outer source; the bits of `vary` follow the flow, so that nodes spread it over their queues. */
struct sn_lb_source {
	__u8 address6[16];
	__be32 address4;
	__be32 vary4;
	__be32 vary6; /* of the last word */
	__u32 _pad;
};
_Static_assert(sizeof(struct sn_lb_source) == 32, "written by user space");

/* An entry of the connection table. */
struct sn_conn {
	__u64 last_ns;
	__u32 generation; /* of the backend */
	__u32 hash; /* of the flow, by which its outer source varies */
	__u16 backend;
	__u8 closed; /* FIN or RST was seen: the next SYN is another flow */
	__u8 unsure; /* it may live at `second` as well: TCP met in the middle, UDP met at a time of doubt */
	__u16 second; /* of UDP always the other candidate, or SN_LB_BACKENDS where there is none */
	__u16 met; /* UDP: its first packet, in units of 2^27 ns, two hours and a half round */
};
_Static_assert(sizeof(struct sn_conn) == 24, "read by user space");

/*
 * While now < until_ns, an UDP flow that was first met after from_ns may have come from another balancer: among them
 * something changed at a time between the two. Zeroes: nothing did.
 */
struct sn_lb_doubt {
	__u64 from_ns;
	__u64 until_ns;
};
_Static_assert(sizeof(struct sn_lb_doubt) == 16, "written by user space");

/* A connection that began and did not go on yet, at the place that its hash names: the newest of that place. */
struct sn_opening {
	struct sn_flow_key key;
	struct sn_conn conn;
};
_Static_assert(sizeof(struct sn_opening) == 64, "one cache line");

/* Index: cpu × SN_LB_VIPS + vip, or cpu × SN_LB_BACKENDS + backend; one writer a cell. */
struct sn_lb_cell {
	__u64 packets; /* sent to a backend */
	__u64 bytes; /* of the frames as they came */
	__u64 new_flows;
	__u64 refused; /* packets of a VIP that reached no backend */
};
_Static_assert(sizeof(struct sn_lb_cell) == 32, "read by user space");

/* Why a packet left the balancer the way it did: each counts exactly one, or one of the parser's. Only append. */
enum sn_lb_reason {
	SN_LB_KNOWN = SN_REASONS, /* sent: to where its flow was */
	SN_LB_BY_ROOM, /* sent, new: drawn from the candidates by their room */
	SN_LB_BY_RING, /* sent, new: nothing fresh is known of either, so the first */
	SN_LB_BY_LOAD, /* sent, new: neither has room, so the less loaded */
	SN_LB_ONLY_ONE, /* sent, new: the other candidate drains or is dead */
	SN_LB_MIDSTREAM, /* sent, unknown flow, no opening packet: the first candidate, which may send it on to the second */
	SN_LB_FRAGMENT, /* sent, unknown address pair: the first candidate, and not remembered */
	SN_LB_MOVED, /* sent: the flow's backend is dead or gone, another has it now */
	SN_LB_UNRECORDED, /* sent to the first candidate, not remembered: too many new flows a second */
	SN_LB_ICMP, /* sent: an error about a flow, to that flow's backend */
	SN_LB_TOO_BIG, /* answered: does not fit the way to the backend */
	SN_LB_TOO_BIG_LOST, /* dropped: does not fit, and must not or cannot be answered */
	SN_LB_NONE_ALIVE, /* dropped */
	SN_LB_NO_WAY, /* dropped: the backend has no address */
	SN_LB_NOT_MOVED, /* dropped: the driver would not move the packet's head */
	SN_LB_NO_VIP, /* untouched: not for a VIP */
	SN_LB_LAST_HOP, /* untouched: may not be forwarded further; the stack says so to the sender */
	SN_LB_PROBE, /* dropped, its work done: a node's answer to a probe */
	SN_LB_PROBE_FOREIGN, /* untouched: an answer from someone else than the backend that it names */
	SN_LB_UNSURE, /* sent: as the first packet of its flow that was met, in the middle */
	SN_LB_OTHER_HOST, /* untouched: the frame is for another's hardware address, or for everybody's */
	SN_LB_REASON_END,
};
_Static_assert((int)SN_LB_REASON_END <= (int)SN_LB_REASONS, "every reason has a cell");

#endif
