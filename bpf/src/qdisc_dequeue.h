/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet's way out: when the link is free, whose turn it is, and how long the packet stood. */
#ifndef SENTINEL_QDISC_DEQUEUE_H
#define SENTINEL_QDISC_DEQUEUE_H

#include "qdisc_places.h"

#include <sentinel/sojourn.h>

#define SLOWEST_BPS 12500 /* a wrong rate must not stop the traffic for good */
#define LATE_NS 2000000 /* what a late timer may catch up on, in time of the link; HTB's bursts are as long */
#define SECOND_NS 1000000000ull
#define NEVER_NS (~0ull)

static __always_inline __u64 cost_ns(__u32 bytes, __u64 rate_Bps)
{
	return bytes * SECOND_NS / (rate_Bps < SLOWEST_BPS ? SLOWEST_BPS : rate_Bps);
}

/* When the next packet may go at this rate, if one of `bytes` goes now. */
static __always_inline __u64 paced(__u64 free_ns, __u64 now, __u32 bytes, __u64 rate_Bps)
{
	__u64 earliest = now - LATE_NS;

	if (!rate_Bps)
		return 0;
	return (free_ns > earliest ? free_ns : earliest) + cost_ns(bytes, rate_Bps);
}

struct search {
	struct sn_bank *bank;
	__u64 now;
	__u64 wake_ns; /* when the first class that its ceiling holds back may go on */
	__u64 rounds; /* that the chosen class is away from its turn */
	__u32 slot;
	__u32 chosen;
};

static __always_inline __u64 quantum_of(__u32 slot, __u32 class_id)
{
	struct sn_share *share = share_of(slot, class_id);

	return share && share->quantum_bytes ? share->quantum_bytes : 1;
}

/*
 * Deficit round robin without going round: how many rounds each class is away from sending is a division, so the class
 * that is nearest, first from the turn on, is found in one pass, and all are given that many rounds at once.
 */
static __always_inline void find_next(struct search *search)
{
	struct sn_bank *bank = search->bank;

	for (__u32 step = 0; step < SN_CLASSES; step++) {
		__u32 class_id = (bank->turn + step) & (SN_CLASSES - 1);
		struct line *line = &bank->line[class_id];
		__u64 rounds = 0, quantum;

		if (!(bank->waiting >> class_id & 1))
			continue;
		if (line->free_ns > search->now) {
			if (line->free_ns < search->wake_ns)
				search->wake_ns = line->free_ns;
			continue;
		}
		if (line->first_bytes > line->deficit) {
			quantum = quantum_of(search->slot, class_id);
			rounds = (line->first_bytes - line->deficit + quantum - 1) / quantum;
		}
		if (rounds < search->rounds) {
			search->rounds = rounds;
			search->chosen = class_id;
		}
		if (!search->rounds)
			return;
	}
}

static __always_inline void give_rounds(const struct search *search)
{
	struct sn_bank *bank = search->bank;

	for (__u32 class_id = 0; class_id < SN_CLASSES; class_id++) {
		struct line *line = &bank->line[class_id];

		if ((bank->waiting >> class_id & 1) && line->free_ns <= search->now)
			line->deficit += search->rounds * quantum_of(search->slot, class_id);
	}
}

static __always_inline void charge(struct sn_bank *bank, struct line *line, __u32 slot, __u32 class_id, __u32 bytes,
				   __u64 now)
{
	struct sn_drain *drain = bpf_map_lookup_elem(&sn_drains, &slot);
	struct sn_share *share = share_of(slot, class_id);

	bank->turn = class_id;
	bank->free_ns = paced(bank->free_ns, now, bytes, drain ? drain->rate_Bps : 0);
	line->free_ns = paced(line->free_ns, now, bytes, share ? share->ceiling_Bps : 0);
	line->deficit = line->packets && line->deficit > bytes ? line->deficit - bytes : 0;
}

static __always_inline void count_sent(__u32 slot, __u32 class_id, __u32 bytes, __u64 spent_ns)
{
	__u32 index = slot * SN_CLASSES + class_id, bucket = sn_sojourn_bucket(spent_ns);
	struct sn_queue *told = told_of(slot, class_id);
	struct sn_sojourn *waits = bpf_map_lookup_elem(&sn_waits, &index);

	if (told) {
		told->sent_packets++;
		told->sent_bytes += bytes;
	}
	if (waits && bucket < SN_SOJOURN_BUCKETS)
		waits->bucket[bucket]++;
}

/* The class to send from, or SN_CLASSES; then `wake_ns` says when to look again. */
static __always_inline __u32 choose(struct sn_bank *bank, __u32 slot, __u64 now, __u64 *wake_ns)
{
	struct search search = {
		.bank = bank, .now = now, .wake_ns = NEVER_NS, .rounds = NEVER_NS, .slot = slot, .chosen = SN_CLASSES};

	if (bank->free_ns > now) {
		*wake_ns = bank->waiting ? bank->free_ns : NEVER_NS;
		return SN_CLASSES;
	}
	find_next(&search);
	if (search.chosen < SN_CLASSES && search.rounds)
		give_rounds(&search);
	*wake_ns = search.wake_ns;
	return search.chosen;
}

SEC("struct_ops/sn_dequeue")
struct sk_buff *BPF_PROG(sn_dequeue, struct Qdisc *queue)
{
	__u32 slot = slot_of(queue), class_id, bytes;
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, &slot);
	__u64 now = bpf_ktime_get_ns(), wake_ns = NEVER_NS;
	struct sk_buff *skb;
	struct place *place;
	struct line *line;

	if (!bank || !bank->waiting)
		return 0;
	class_id = choose(bank, slot, now, &wake_ns);
	if (class_id >= SN_CLASSES) {
		if (wake_ns != NEVER_NS)
			bpf_qdisc_watchdog_schedule(queue, wake_ns, 0);
		return 0;
	}
	line = &bank->line[class_id];
	place = leave(bank, line, class_id, slot);
	if (!place)
		return 0;
	bytes = place->bytes;
	skb = bpf_kptr_xchg(&place->skb, 0);
	queue->q.qlen--;
	queue->qstats.backlog -= bytes;
	charge(bank, line, slot, class_id, bytes, now);
	publish(slot, class_id, line, limit_of(slot, class_id, now), now);
	if (!skb)
		return 0;
	count_sent(slot, class_id, bytes, now - place->arrived_ns);
	bpf_qdisc_bstats_update(queue, skb);
	return skb;
}

#endif
