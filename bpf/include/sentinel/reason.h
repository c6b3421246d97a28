/* SPDX-License-Identifier: Apache-2.0 */
/* Why a packet left the data plane the way it did: each packet counts exactly one of these. */
#ifndef SENTINEL_REASON_H
#define SENTINEL_REASON_H

#include <linux/types.h>

#define SN_MAX_REASONS 64

enum sn_reason {
	SN_PASSED = 0,			/* an order stands, and the packet is within it */
	SN_PASSED_NO_ORDER = 1,		/* no order, or its lease is over: untouched */
	SN_MARKED = 2,			/* congestion experienced, told by ECN */
	SN_DROPPED_LIMIT = 3,		/* the virtual queue of the class is full */
	SN_DROPPED_EARLY = 4,		/* the controller chose it, and it cannot be marked */
	SN_NOT_IP = 5,
	SN_ETHERNET_SHORT = 6,
	SN_VLAN_SHORT = 7,
	SN_VLAN_DEEP = 8,		/* more than two tags */
	SN_IP4_SHORT = 9,
	SN_IP4_BAD_HEADER = 10,		/* version or header length */
	SN_IP4_BAD_LENGTH = 11,		/* total length below the header's, or beyond the frame */
	SN_IP6_SHORT = 12,
	SN_IP6_BAD_HEADER = 13,
	SN_IP6_BAD_LENGTH = 14,
	SN_IP6_EXTENSION_SHORT = 15,
	SN_IP6_EXTENSION_DEEP = 16,	/* more than SN_MAX_EXTENSIONS */
	SN_TRANSPORT_SHORT = 17,
	SN_TCP_BAD_HEADER = 18,		/* data offset below five words, or beyond the packet */
	SN_UDP_BAD_LENGTH = 19,
	SN_TUNNEL_REFUSED = 20,		/* outer source not allowed: passed untouched */
	SN_TUNNEL_MALFORMED = 21,	/* an allowed source sent nonsense inside: dropped */
	SN_TUNNEL_CONGESTED = 22,	/* outer mark, inner cannot carry it: dropped (RFC 6040) */
	SN_REFLECTED = 23,
	SN_PROBE_REFUSED = 24,		/* source not allowed to probe: passed untouched */
	SN_PROBE_TOO_FAST = 25,		/* beyond the rate of its source: dropped */
	SN_HELPER_FAILED = 26,		/* the driver would not move the packet's head: passed untouched */
	SN_EGRESS_PASSED = 27,
	SN_EGRESS_MARKED = 28,
	SN_EGRESS_DROPPED_RATE = 29,
};

/* Index: cpu × SN_MAX_REASONS + reason. */
struct sn_reason_count {
	__u64 packets;
};
_Static_assert(sizeof(struct sn_reason_count) == 8, "read by user space");

#endif
