/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a packet left the data plane the way it did: each packet counts exactly one of these. Only append. */
#ifndef SENTINEL_REASON_H
#define SENTINEL_REASON_H

#include <linux/types.h>

enum sn_reason {
	SN_REASON_PASSED = 0, /* an order stands, and the packet is within it */
	SN_REASON_NO_ORDER = 1, /* its class was never given one: untouched */
	SN_REASON_LEASE_OVER = 2, /* the order ran out: untouched */
	SN_REASON_MARKED = 3, /* congestion experienced, told by ECN */
	SN_REASON_OVER_LIMIT = 4, /* dropped: the virtual queue of the class stands at max_bytes */
	SN_REASON_EARLY_DROP = 5, /* dropped: the controller chose it, and it could not be marked */
	SN_REASON_NOT_IP = 6,
	SN_REASON_ETHERNET_SHORT = 7,
	SN_REASON_VLAN_SHORT = 8,
	SN_REASON_VLAN_DEEP = 9, /* more than two tags */
	SN_REASON_IP4_SHORT = 10,
	SN_REASON_IP4_BAD_HEADER = 11, /* version or header length */
	SN_REASON_IP4_BAD_LENGTH = 12, /* total length below the header's, or beyond the frame */
	SN_REASON_IP6_SHORT = 13,
	SN_REASON_IP6_BAD_HEADER = 14,
	SN_REASON_IP6_BAD_LENGTH = 15,
	SN_REASON_IP6_EXTENSION_SHORT = 16,
	SN_REASON_IP6_EXTENSION_DEEP = 17, /* more of them than we walk */
	SN_REASON_TRANSPORT_SHORT = 18,
	SN_REASON_TCP_BAD_HEADER = 19, /* data offset below five words, or beyond the packet */
	SN_REASON_UDP_BAD_LENGTH = 20,
	SN_REASON_TUNNEL_FOREIGN = 21, /* passed: our encapsulation from a source that is not allowed, left as it is */
	SN_REASON_TUNNEL_MALFORMED = 22, /* nonsense inside, from a source that is allowed: dropped */
	SN_REASON_TUNNEL_CONGESTED = 23, /* marked outside, not ECN-capable inside: dropped (RFC 6040) */
	SN_REASON_PROBE_REFLECTED = 24,
	SN_REASON_PROBE_FOREIGN = 25, /* passed: from a source that is not allowed, unanswered */
	SN_REASON_PROBE_OVER_RATE = 26, /* dropped: faster than its source may ask */
	SN_REASON_HELPER_FAILED = 27, /* the driver would not move the packet's head: dropped */
	SN_REASON_EGRESS_PASSED = 28,
	SN_REASON_EGRESS_MARKED = 29,
	SN_REASON_EGRESS_OVER_RATE = 30, /* dropped: the class's token bucket is empty */
	SN_REASON_EGRESS_UNKNOWN = 31, /* not IP, or malformed: untouched */
	SN_REASON_TUNNEL_ONWARD = 32, /* of a flow not known here: sent on to the other node where it may live */
	SN_REASON_TUNNEL_ELSEWHERE = 33, /* passed: our encapsulation in a frame for another host's hardware address */
	SN_REASONS = 40,
};

/* Index: cpu × SN_REASONS + reason. */
struct sn_reason_cell {
	__u64 packets;
};
_Static_assert(sizeof(struct sn_reason_cell) == 8, "read by user space");

#endif
