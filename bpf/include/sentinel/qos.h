/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is asked of a class on its way out, and what became of it there. */
#ifndef SENTINEL_QOS_H
#define SENTINEL_QOS_H

#include <linux/types.h>

/* sn_qos[class]; leased like every order. Zero in a field asks for nothing. */
struct sn_qos {
	__u64 valid_until_ns;
	__u64 rate_Bps; /* beyond it, and beyond the burst, packets are dropped */
	__u64 burst_bytes;
	__u64 mark_above_bytes; /* of backlog (sn_backlog): what is ECN-capable is marked, the rest passes */
};
_Static_assert(sizeof(struct sn_qos) == 32, "written by user space");

/* Index: cpu × SN_CLASSES + class, one writer a cell. */
struct sn_out_cell {
	__u64 packets;
	__u64 bytes;
	__u64 marks;
	__u64 drops;
	__u64 drop_bytes;
	__u64 last_seen_ns;
	__u64 _pad[2];
};
_Static_assert(sizeof(struct sn_out_cell) == 64, "read by user space");

#endif
