// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The detour around a device's root qdisc: while the kernel exchanges one for another it drops what arrives, so for as
 * long nothing may. What leaves is led to a device that holds it, and comes back by that one's peer.
 *
 *   stack ─ sn_aside ─┬─ to be held ─→ holding ─ tbf ─→ its peer ─ sn_back ─┐
 *              ↑      └─ came back, and may pass ─→ root qdisc ─→ device    │
 *              └────────────────────────────────────────────────────────────┘
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>

struct sn_detour {
	__u64 taken;
	__u64 returned;
	__u32 device; /* whose root is exchanged */
	__u32 holding;
	__u32 back; /* the holding device's peer */
	__u32 through; /* what comes back may pass */
};
SN_SIZE(struct sn_detour, 32);

#define HELD 0x534e4d32 /* "SNM2" in skb->cb, which no qdisc on the way writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_detour);
} sn_detour SEC(".maps");

static __always_inline struct sn_detour *the_detour(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&sn_detour, &only);
}

/* On the way out, before all others: who comes after sees each packet once. */
SEC("tc")
int sn_aside(struct __sk_buff *skb)
{
	struct sn_detour *detour = the_detour();

	if (!detour || (detour->through && skb->ingress_ifindex == detour->back))
		return TC_ACT_UNSPEC;
	skb->cb[0] = HELD;
	skb->cb[1] = skb->priority; /* a veth clears it */
	__sync_fetch_and_add(&detour->taken, 1);
	return bpf_redirect(detour->holding, 0);
}

/* What comes in by the peer and was not led there is what its own stack says to the neighbours it has not. */
SEC("tc")
int sn_back(struct __sk_buff *skb)
{
	struct sn_detour *detour = the_detour();

	if (!detour || skb->cb[0] != HELD)
		return TC_ACT_SHOT;
	skb->cb[0] = 0;
	skb->priority = skb->cb[1];
	__sync_fetch_and_add(&detour->returned, 1);
	return bpf_redirect(detour->device, 0);
}

/* Run by hand: whatever this is becomes a packet of the holding device, which takes its tokens and goes no further. */
SEC("tc")
int sn_spend(struct __sk_buff *skb)
{
	struct sn_detour *detour = the_detour();

	if (detour)
		bpf_clone_redirect(skb, detour->holding, 0);
	return TC_ACT_UNSPEC;
}
