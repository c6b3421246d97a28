/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's structures around a queueing discipline, as far as ours reads or writes them; their places come from the
 * running kernel's BTF. What the kernel lets a discipline do is below them.
 */
#ifndef SENTINEL_KERNEL_QDISC_H
#define SENTINEL_KERNEL_QDISC_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct ns_common {
	unsigned int inum;
};
struct net {
	struct ns_common ns;
};
typedef struct {
	struct net *net;
} possible_net_t;
struct net_device {
	int ifindex;
	possible_net_t nd_net;
};
struct netdev_queue {
	struct net_device *dev;
};
struct qdisc_skb_head {
	__u32 qlen;
};
struct gnet_stats_queue {
	__u32 backlog;
	__u32 drops;
};
struct Qdisc {
	__u32 limit;
	__u32 parent;
	struct netdev_queue *dev_queue;
	struct qdisc_skb_head q;
	struct gnet_stats_queue qstats;
};
struct qdisc_skb_cb {
	unsigned int pkt_len;
	unsigned char data[20];
};
struct sk_buff {
	struct sk_buff *next;
	__u32 priority;
	char cb[48];
};
struct nlattr;
struct netlink_ext_ack;
/* libbpf 1.1 matches it with the kernel's only when it has its field. */
struct bpf_sk_buff_ptr {
	struct sk_buff *skb;
};
struct Qdisc_ops {
	char id[16];
	int (*enqueue)(struct sk_buff *skb, struct Qdisc *queue, struct sk_buff **to_free);
	struct sk_buff *(*dequeue)(struct Qdisc *queue);
	int (*init)(struct Qdisc *queue, struct nlattr *options, struct netlink_ext_ack *extack);
	void (*reset)(struct Qdisc *queue);
	void (*destroy)(struct Qdisc *queue);
};
#pragma clang attribute pop

#define NET_XMIT_SUCCESS 0
#define NET_XMIT_DROP 1

void bpf_qdisc_skb_drop(struct sk_buff *skb, struct bpf_sk_buff_ptr *to_free) __ksym;
void bpf_kfree_skb(struct sk_buff *skb) __ksym;
void bpf_qdisc_watchdog_schedule(struct Qdisc *queue, __u64 expire_ns, __u64 slack_ns) __ksym;
void bpf_qdisc_bstats_update(struct Qdisc *queue, const struct sk_buff *skb) __ksym;

#endif
