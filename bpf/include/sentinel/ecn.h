/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Congestion Experienced, written into a packet in place, with the sums that cover it. */
#ifndef SENTINEL_ECN_H
#define SENTINEL_ECN_H

#include "parse.h"

enum sn_ecn {
	SN_ECN_NONE = 0,
	SN_ECN_ECT1 = 1,
	SN_ECN_ECT0 = 2,
	SN_ECN_CE = 3,
};

/* RFC 1624: the one's complement sum after one of its 16-bit words changed from `before` to `after`. */
static __always_inline __u16 sn_sum_after(__u16 sum, __u16 before, __u16 after)
{
	__u32 total = (__u16)~sum + (__u32)(__u16)~before + after;

	total = (total & 0xffff) + (total >> 16);
	total = (total & 0xffff) + (total >> 16);
	return ~total;
}

/* IPv6 has no header sum, and no transport sum covers the traffic class. */
static __always_inline void sn_mark_ce(void *data, void *end, const struct sn_packet *packet)
{
	struct sn_span span = {data, end, 0};
	__u16 *words = sn_at(&span, packet->l3_offset, sizeof(struct iphdr));
	__u16 before;

	if (!words)
		return;
	before = words[0];
	if (packet->ip_version == 6) {
		words[0] = before | bpf_htons(SN_ECN_CE << 4);
		return;
	}
	words[0] = before | bpf_htons(SN_ECN_CE);
	words[5] = sn_sum_after(words[5], before, words[0]);
}

#endif
