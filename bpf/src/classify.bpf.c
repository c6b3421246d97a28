// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From XDP's class to a place in the queue (ingress), and how long packets stand in that of tier B.
 *
 * sn_classify runs at tc ingress in front of `mirred`, which redirects to the ifb what the filter matches. A filter
 * that does not match leaves the packet alone, so that an order past its lease takes the queue out of the way at once.
 * The class travels in skb->cb, where tier A reads it; sn_place, at the root of tier B's ifb, reads it and tells HTB.
 * The priority of the packet is left alone: nobody could take it back behind the ifb, where IPv6 and bridges would hand
 * it on to the next device's queue.
 * sn_dequeued sees the packet leave the queue; between the two its arrival time travels in skb->cb (queue.h). It feeds
 * quantiles, not accounts: there are kernels that withhold tracing at times (docs/design/0016).
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <sentinel/abi.h>
#include <sentinel/kernel_qdisc.h>
#include <sentinel/queue.h>
#include <sentinel/sojourn.h>
#include <sentinel/stage.h>

#define NO_MATCH 0
#define MATCH 0xffffffff /* cls_bpf: the filter's own class, and its actions */
#define BULK_MAX 64 /* packets that one dequeue may hand on at once */

const volatile enum sn_queue_const sn_queue_consts = SN_QUEUE_MAJOR;

/* The device whose root is our queue, for sn_dequeued and sn_egress; an ifindex means something only in its namespace. */
struct sn_queue_place {
	__u32 ifindex;
	__u32 netns;
};
SN_SIZE(struct sn_queue_place, 8);

struct sn_unsaid {
	__u64 packets;
};
SN_SIZE(struct sn_unsaid, 8);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_queue_place);
} sn_queue_place SEC(".maps");

/* Index cpu x SN_CLASSES + class; sized at load for the CPUs there are. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_sojourn);
} sn_sojourn SEC(".maps");

/* IP packets that came to tc without XDP's word of their class, by CPU: the driver leaves no room for it, or worse. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_unsaid);
} sn_unsaid SEC(".maps");

int sn_queue_on(__u32 ifindex)
{
	__u32 only = 0;
	struct sn_queue_place *place = bpf_map_lookup_elem(&sn_queue_place, &only);

	return place && place->ifindex == ifindex;
}

static __always_inline void count_unsaid(const struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct sn_unsaid *unsaid = bpf_map_lookup_elem(&sn_unsaid, &cpu);

	if (unsaid && (skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6)))
		unsaid->packets++;
}

static __always_inline __u32 class_of(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	struct sn_meta *meta = (void *)(long)skb->data_meta;

	if ((void *)(meta + 1) > data || meta->magic != SN_META_MAGIC) {
		count_unsaid(skb);
		return SN_UNMATCHED;
	}
	return meta->class_id < SN_CLASSES ? meta->class_id : SN_UNMATCHED;
}

SEC("tc")
int sn_classify(struct __sk_buff *skb)
{
	__u32 class_id = class_of(skb);
	__u64 now = bpf_ktime_get_ns();

	if (!(sn_live_flags(class_id, now) & SN_ORDER_QUEUE))
		return NO_MATCH;
	sn_stamp_arrival(skb, class_id, now);
	return MATCH;
}

SEC("tc")
int sn_place(struct __sk_buff *skb)
{
	if (skb->cb[0] != SN_META_MAGIC || skb->cb[1] >= SN_CLASSES)
		return NO_MATCH;
	return SN_QUEUE_MAJOR << 16 | (SN_QUEUE_MINOR + skb->cb[1]);
}

static __always_inline void count(const struct sk_buff *skb, __u64 now)
{
	struct sn_stamp stamp;
	struct sn_sojourn *cell;
	__u32 index;
	__u64 arrived;

	bpf_probe_read_kernel(&stamp, sizeof(stamp), ((const struct qdisc_skb_cb *)skb->cb)->data);
	if (stamp.magic != SN_META_MAGIC || stamp.class_id >= SN_CLASSES)
		return;
	arrived = (__u64)stamp.arrived_high << 32 | stamp.arrived_low;
	index = bpf_get_smp_processor_id() * SN_CLASSES + stamp.class_id;
	cell = bpf_map_lookup_elem(&sn_sojourn, &index);
	if (!cell || now < arrived)
		return;
	index = sn_sojourn_bucket(now - arrived);
	if (index < SN_SOJOURN_BUCKETS)
		cell->bucket[index]++;
}

SEC("tp_btf/qdisc_dequeue")
int BPF_PROG(sn_dequeued, struct Qdisc *queue, const struct netdev_queue *transmit, int packets, struct sk_buff *skb)
{
	struct net_device *device = queue->dev_queue->dev;
	__u64 now = bpf_ktime_get_ns();
	__u32 only = 0;
	struct sn_queue_place *place = bpf_map_lookup_elem(&sn_queue_place, &only);

	if (!place || device->ifindex != place->ifindex || device->nd_net.net->ns.inum != place->netns)
		return 0;
	for (int each = 0; each < BULK_MAX && skb && each < packets; each++) {
		count(skb, now);
		skb = skb->next;
	}
	return 0;
}
