/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The time of a packet, as exact as what is judged by it: ages of tens of milliseconds and more. */
#ifndef SENTINEL_LB_CLOCK_H
#define SENTINEL_LB_CLOCK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct lb_clock {
	__u64 jiffies;
	__u64 now_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_clock);
} sn_lb_clock SEC(".maps");

/*
 * Read once in a jiffy and CPU, so up to that old: 4 ms at 250 Hz, and longer where the CPU that counts them is held up.
 * What is late by it is a fail-over, never the other way. To read it takes an eighth of what a packet may.
 */
static __always_inline __u64 now_ns(void)
{
	__u64 jiffies = bpf_jiffies64();
	__u32 zero = 0;
	struct lb_clock *clock = bpf_map_lookup_elem(&sn_lb_clock, &zero);

	if (!clock)
		return bpf_ktime_get_ns();
	if (clock->jiffies != jiffies) {
		clock->jiffies = jiffies;
		clock->now_ns = bpf_ktime_get_ns();
	}
	return clock->now_ns;
}

#endif
