/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tier A: what user space tells the queueing discipline, and where. */
#ifndef SENTINEL_QDISC_H
#define SENTINEL_QDISC_H

#include <linux/types.h>

#include <sentinel/abi.h>

enum sn_qdisc_const {
	SN_QDISC_VERSION = 2, /* of what it reads in maps and packets; its name ends in it, for code that runs stays */
	SN_QDISC_SLOTS = 4, /* queues that one node may have at once */
	SN_QDISC_PLACES = 65536, /* packets that may stand in one queue, all classes together; a power of two */
};

/*
 * Whoever ends the queue of another version lifts its pace first (sentinel_bpf/buffer/pace.py). So these hold in every
 * version: sn_slots finds a slot by the three words of sn_spot, the rate is the first 64-bit word of sn_drain, and the
 * ceiling the third of sn_share.
 */
/* Which queue a slot is meant for. An ifindex means something only in its network namespace. */
struct sn_spot {
	__u32 netns; /* its inode */
	__u32 ifindex;
	__u32 parent; /* TC_H_ROOT, or the class of mq that stands for one transmit queue */
};
SN_SIZE(struct sn_spot, 12);

/* One class in one queue: index slot x SN_CLASSES + class. Zero in a limit means that nothing was said. */
struct sn_share {
	__u64 limit_bytes; /* while the class's order lives; this one store is a resize */
	__u64 static_limit_bytes; /* past its lease */
	__u64 ceiling_Bps; /* 0: no slower than the queue */
	__u32 quantum_bytes; /* of deficit round robin; 0: no such class, its packets count as unmatched */
	__u32 _pad;
};
SN_SIZE(struct sn_share, 32);

/* One queue. */
struct sn_drain {
	__u64 rate_Bps; /* 0: as fast as the device takes it */
	__u64 pool_bytes; /* of all classes together */
};
SN_SIZE(struct sn_drain, 16);

_Static_assert(__builtin_offsetof(struct sn_drain, rate_Bps) == 0, "every version lifts every other's");
_Static_assert(__builtin_offsetof(struct sn_share, ceiling_Bps) == 16, "every version lifts every other's");

#endif
