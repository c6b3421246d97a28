/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The virtual queue of a class and the PID on its delay, in fixed point: the twin of core/sentinel_core/pid.py, which
 * says why each choice is as it is. Only arithmetic, so that a test can hand it any clock and any state.
 *
 * A leaky bucket is kept as the instant at which it will be empty: draining then costs nothing, and one
 * compare-and-swap admits a packet from any CPU. The instant counts in 1/64 ns, since a small packet at 100 Gbit/s
 * takes 5.12 ns; that overflows nine years after boot.
 */
#ifndef SENTINEL_VQUEUE_H
#define SENTINEL_VQUEUE_H

#include <linux/types.h>

#include "abi.h"

#define SN_TICKS_PER_NS 64ull
#define SN_NS_PER_S 1000000000ull
#define SN_STEP_NS 1000000ull
#define SN_GAIN_PERIOD_NS 100000000ull
#define SN_ONE_Q16 (1 << 16)
#define SN_ONE_Q32 (1ll << 32)
#define SN_ERROR_MAX (15 << 16)
#define SN_PERIODS_MAX (1 << 22) /* five days: enough for the least gain to wear off the whole integral */
#define SN_GAIN_MAX (256u << 16) /* keeps every product within 64 bits */
#define SN_DELAY_MAX_NS (64ull * SN_NS_PER_S) /* longer is over every limit */
#define SN_BACKLOG_MAX (1ull << 27) /* kept over a change of rate; in ticks it fits 64 bits */

/* One a class, on a cache line of its own. Signed fields are stored as two's complement. */
struct sn_vqueue {
	__u64 empty_tick; /* when the queue will be empty */
	__u64 drain_Bps; /* the rate that empty_tick was reckoned with */
	__u64 stepped_ns;
	__u64 integral; /* Q32, already times ki */
	__u64 delay_ns; /* at the last step */
	__u32 probability; /* Q16 */
	__u32 _pad;
	__u64 _line[2];
};
_Static_assert(sizeof(struct sn_vqueue) == 64, "read by user space");

static __always_inline __s64 sn_clamp(__s64 value, __s64 low, __s64 high)
{
	if (value < low)
		return low;
	return value > high ? high : value;
}

static __always_inline __u64 sn_least(__u64 one, __u64 other)
{
	return one < other ? one : other;
}

/* BPF divides unsigned only. */
static __always_inline __s64 sn_divide(__s64 value, __u64 by)
{
	return value < 0 ? -(__s64)((__u64)-value / by) : (__s64)((__u64)value / by);
}

/* (now - before) / target in Q16, at most ±15. */
static __always_inline __s64 sn_relative(__u64 now_ns, __u64 before_ns, __u64 target_ns)
{
	__s64 difference = (__s64)now_ns - (__s64)before_ns;

	return sn_clamp(sn_divide(difference << 16, target_ns), -SN_ERROR_MAX, SN_ERROR_MAX);
}

static __always_inline __s64 sn_gain(__u32 gain)
{
	return gain > SN_GAIN_MAX ? SN_GAIN_MAX : gain;
}

/*
 * What an error of this size adds to the integral, in Q32. A gap counts as one period at most where the queue stands
 * above its target, and whole where it stands below.
 */
static __always_inline __s64 sn_gathered(__u32 ki, __s64 error, __u64 elapsed_ns)
{
	__u64 whole = elapsed_ns / SN_GAIN_PERIOD_NS, rest_ns = elapsed_ns % SN_GAIN_PERIOD_NS;
	__s64 each = sn_gain(ki) * error;

	if (whole && error > 0)
		return each;
	if (whole > SN_PERIODS_MAX)
		whole = SN_PERIODS_MAX;
	return each * (__s64)whole + (((each >> 8) * (__s64)((rest_ns << 24) / SN_GAIN_PERIOD_NS)) >> 16);
}

/* One step of the controller. The caller has seen to it that SN_STEP_NS have passed and that it alone steps. */
static __always_inline void sn_pid_step(struct sn_vqueue *queue, const struct sn_order *order, __u64 delay_ns,
					__u64 elapsed_ns)
{
	__u64 target_ns = (__u64)order->target_us * 1000;
	__s64 periods, error, change, before, integral, wanted; /* periods in Q24 */

	if (!target_ns) {
		queue->integral = 0;
		queue->probability = 0;
		queue->delay_ns = delay_ns;
		return;
	}
	error = sn_relative(delay_ns, target_ns, target_ns);
	change = sn_relative(delay_ns, queue->delay_ns, target_ns);
	before = queue->integral;
	integral = order->ki ? sn_clamp(before + sn_gathered(order->ki, error, elapsed_ns), 0, SN_ONE_Q32) : 0;
	periods = (sn_least(elapsed_ns, SN_GAIN_PERIOD_NS) << 24) / SN_GAIN_PERIOD_NS;
	if (periods <= 0)
		periods = 1;
	wanted = ((sn_gain(order->kp) * error) >> 16) + (integral >> 16) +
		 sn_divide((sn_gain(order->kd) * change) << 8, periods);
	/* Anti-windup: at full output more integral could only delay the way back. */
	if (wanted > SN_ONE_Q16 && error > 0)
		integral = before;
	queue->integral = integral;
	queue->delay_ns = delay_ns;
	queue->probability = sn_clamp(wanted, 0, SN_ONE_Q16);
}

static __always_inline __u64 sn_delay_ns(const struct sn_vqueue *queue, __u64 now_tick)
{
	__u64 empty = queue->empty_tick, delay;

	if (empty <= now_tick)
		return 0;
	delay = (empty - now_tick) / SN_TICKS_PER_NS;
	return delay > SN_DELAY_MAX_NS ? SN_DELAY_MAX_NS : delay;
}

/* Bytes that take `delay_ns` at this rate; a rate whose product with a second would not fit loses its last bits. */
static __always_inline __u64 sn_backlog_bytes(__u64 delay_ns, __u64 drain_Bps)
{
	__u64 seconds = delay_ns / SN_NS_PER_S, rest_ns = delay_ns % SN_NS_PER_S;

	if (drain_Bps >> 34)
		return seconds * drain_Bps + rest_ns * (drain_Bps >> 10) / (SN_NS_PER_S >> 10);
	return seconds * drain_Bps + rest_ns * drain_Bps / SN_NS_PER_S;
}

static __always_inline __u64 sn_cost_ticks(__u64 bytes, __u64 drain_Bps)
{
	return (bytes * (SN_NS_PER_S * SN_TICKS_PER_NS) + drain_Bps / 2) / drain_Bps;
}

/* A changed drain rate keeps the bytes that stand in the queue, not their time. */
static __always_inline void sn_rescale(struct sn_vqueue *queue, __u64 drain_Bps, __u64 now_tick)
{
	__u64 before = queue->drain_Bps, empty = queue->empty_tick, bytes;

	queue->drain_Bps = drain_Bps;
	if (!before || empty <= now_tick)
		return;
	bytes = sn_backlog_bytes(sn_delay_ns(queue, now_tick), before);
	if (bytes > SN_BACKLOG_MAX)
		bytes = SN_BACKLOG_MAX;
	__sync_val_compare_and_swap(&queue->empty_tick, empty, now_tick + sn_cost_ticks(bytes, drain_Bps));
}

static __always_inline void sn_admit(struct sn_vqueue *queue, __u32 bytes, __u64 drain_Bps, __u64 now_tick)
{
	__u64 empty = queue->empty_tick, start = empty > now_tick ? empty : now_tick;
	__u64 cost = sn_cost_ticks(bytes, drain_Bps);

	/* Whoever came between has left the queue busy, so that adding is then exact. */
	if (__sync_val_compare_and_swap(&queue->empty_tick, empty, start + cost) != empty)
		__sync_fetch_and_add(&queue->empty_tick, cost);
}

#endif
