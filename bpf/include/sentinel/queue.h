/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet's way into the queue: its class and arrival in skb->cb, and where it leaves, its class in skb->priority. */
#ifndef SENTINEL_QUEUE_H
#define SENTINEL_QUEUE_H

#include <linux/bpf.h>

#include <sentinel/abi.h>

/* Upper half of skb->priority, and the queue's own handle: HTB finds the class by it. Never a foreign qdisc's. */
enum sn_queue_const {
	SN_QUEUE_MAJOR = 0x5e17,
	SN_QUEUE_MINOR = 0x10, /* class c is minor SN_QUEUE_MINOR + c */
};

/* What tc writes to skb->cb; sn_place, sn_dequeued and tier A read it. Neither mirred, HTB, tbf nor bfifo uses it. */
struct sn_stamp {
	__u32 magic;
	__u32 class_id;
	__u32 arrived_low;
	__u32 arrived_high;
};
SN_SIZE(struct sn_stamp, 16);

static __always_inline void sn_stamp_arrival(struct __sk_buff *skb, __u32 class_id, __u64 now_ns)
{
	skb->cb[0] = SN_META_MAGIC;
	skb->cb[1] = class_id;
	skb->cb[2] = (__u32)now_ns;
	skb->cb[3] = now_ns >> 32;
}

/* Where our queue is what comes next and reads the priority: any other qdisc would read a band out of it. */
static __always_inline void sn_enter_queue(struct __sk_buff *skb, __u32 class_id, __u64 now_ns)
{
	skb->priority = SN_QUEUE_MAJOR << 16 | (SN_QUEUE_MINOR + class_id);
	sn_stamp_arrival(skb, class_id, now_ns);
}

#endif
