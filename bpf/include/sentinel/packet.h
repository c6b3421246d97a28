/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of a packet, and the bytes it is read from. */
#ifndef SENTINEL_PACKET_H
#define SENTINEL_PACKET_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#include "flow.h"
#include "reason.h"

#define SN_MAX_OFFSET 1023 /* deeper headers than this are no traffic we know; the verifier wants a bound */

enum sn_outcome {
	SN_FOUND = 0, /* packet is filled */
	SN_NOT_OURS = 1, /* well-formed, but nothing we handle; packet.reason says which */
	SN_MALFORMED = 2, /* packet.reason says where */
};

enum sn_packet_flag {
	SN_HAS_PORTS = 1,
	SN_FRAGMENT = 2, /* any fragment, the first too: the flow is the address pair */
	SN_TIMESTAMPS = 4,
	SN_NEW_FLOW = 8,
	SN_SYN = 16, /* SYN without ACK */
	SN_CLOSES = 32, /* FIN or RST */
	SN_CLASSIFIED = 64,
	SN_TWICE = 128, /* came out of a tunnel of ours, and is another */
};

struct sn_packet {
	struct sn_flow_key key;
	__u64 now_ns;
	__u32 length; /* of the frame, Ethernet header included */
	__u32 timestamp; /* TCP timestamp value and echo, with SN_TIMESTAMPS */
	__u32 echo;
	__u32 cpu;
	__u32 reason;
	__u32 class_id;
	__u32 generation; /* of the rules that named the class */
	__u16 l3_offset;
	__u16 l4_offset;
	__u16 ip_end; /* offset where the IP packet ends, saturated */
	__u8 ip_version;
	__u8 dscp;
	__u8 ecn;
	__u8 tcp_flags; /* byte 13 of the header */
	__u8 flags; /* enum sn_packet_flag */
	__u8 foreign; /* enum sn_reason: a tunnel or a probe of someone who may not, else zero */
};
_Static_assert(sizeof(struct sn_packet) == 88, "lives on the stack of every stage");

struct sn_span {
	void *data;
	void *end;
	__u32 length;
};

static __always_inline void *sn_at(const struct sn_span *span, __u32 offset, __u32 size)
{
	void *at;

	if (offset > SN_MAX_OFFSET)
		return NULL;
	at = span->data + offset;
	if (at + size > span->end)
		return NULL;
	return at;
}

static __always_inline enum sn_outcome sn_malformed(struct sn_packet *packet, enum sn_reason reason)
{
	packet->reason = reason;
	return SN_MALFORMED;
}

#endif
