// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The virtual queue's arithmetic at any instant and in any state, for the comparison with the float reference. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>
#include <sentinel/vqueue.h>

struct sn_trial {
	struct sn_vqueue queue;
	struct sn_order order;
	__u64 now_ns;
	__u64 elapsed_ns;
	__u64 delay_ns;
	__u64 backlog_bytes;
	__u32 bytes;
	__u32 _pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_trial);
} sn_trial SEC(".maps");

static __always_inline struct sn_trial *trial(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sn_trial, &zero);
}

SEC("xdp")
int sn_try_pid(struct xdp_md *ctx)
{
	struct sn_trial *given = trial();

	if (!given)
		return XDP_ABORTED;
	sn_pid_step(&given->queue, &given->order, given->delay_ns, given->elapsed_ns);
	return XDP_PASS;
}

/* A packet of `bytes` arrives at now_ns: the delay and the backlog that it finds, then its own place in the queue. */
SEC("xdp")
int sn_try_queue(struct xdp_md *ctx)
{
	struct sn_trial *given = trial();
	__u64 now_tick, drain_Bps;

	if (!given)
		return XDP_ABORTED;
	now_tick = given->now_ns * SN_TICKS_PER_NS;
	drain_Bps = given->order.drain_Bps;
	if (!drain_Bps)
		return XDP_ABORTED;
	if (given->queue.drain_Bps != drain_Bps)
		sn_rescale(&given->queue, drain_Bps, now_tick);
	given->delay_ns = sn_delay_ns(&given->queue, now_tick);
	given->backlog_bytes = sn_backlog_bytes(given->delay_ns, drain_Bps);
	sn_admit(&given->queue, given->bytes, drain_Bps, now_tick);
	return XDP_PASS;
}
