// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tier A of the buffer: a queueing discipline whose limits are read from mapped memory at each packet, so that a resize
 * is one store. A limit is asked only of arrivals: what stands in the queue is sent, whatever becomes of the limit.
 *
 *   arrival ── class ──┬─ backlog >= limit, or pool used up ── refused
 *                      └─ a place of the pool ── line of its class ──┐
 *   watchdog ── link free? ── deficit round robin over the lines <───┘── out
 *
 * All classes take their places from one pool; a line is a list of indices into it, so that nothing is allocated for a
 * packet and user space cannot reach the chain. The device's queue lock covers every call but init and destroy.
 */
#include <sentinel/kernel_qdisc.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include <sentinel/qdisc.h>
#include <sentinel/queue.h>
#include <sentinel/sojourn.h>

#define NO_PLACE 0xffffffff
#define POOL_MOST (64ull << 20) /* bytes: whatever a map says, a queue takes no more of the node's memory */
#define LIMIT_UNSAID (256ull << 10) /* of a class for which neither limit was said */
#define SLOWEST_BPS 12500 /* a wrong rate must not stop the traffic for good */
#define LATE_NS 2000000 /* what a late timer may catch up on, in time of the link; HTB's bursts are as long */
#define SECOND_NS 1000000000ull
#define NEVER_NS (~0ull)
#define EBUSY 16
#define ENODEV 19

struct place {
	struct sk_buff __kptr *skb;
	__u64 arrived_ns;
	__u32 next;
	__u32 bytes;
};

struct line {
	__u64 free_ns; /* when its ceiling lets the next packet go */
	__u64 bytes;
	__u32 packets;
	__u32 first;
	__u32 last;
	__u32 first_bytes;
	__u64 deficit;
};

/* A queue's own state, out of reach of user space but for looking at it. */
struct sn_bank {
	__u64 free_ns; /* when the link is free */
	__u64 bytes;
	__u32 taken; /* a discipline lives here */
	__u32 spare; /* first of the places given back */
	__u32 fresh; /* places never used so far */
	__u32 turn; /* the class whose turn it is */
	__u32 waiting; /* a bit for each class that has packets */
	__u32 _pad;
	struct line line[SN_CLASSES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SN_QDISC_SLOTS *SN_QDISC_PLACES);
	__type(key, __u32);
	__type(value, struct place);
} sn_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, __u32);
	__type(value, struct sn_bank);
} sn_banks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, struct sn_spot);
	__type(value, __u32);
} sn_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_QDISC_SLOTS *SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_share);
} sn_shares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, __u32);
	__type(value, struct sn_drain);
} sn_drains SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_QDISC_SLOTS *SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_sojourn);
} sn_waits SEC(".maps");

struct orders {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_order);
};

/* The orders of the agent that steers each slot: its lease is theirs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, __u32);
	__array(values, struct orders);
} sn_orders SEC(".maps");

struct backlog {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_queue);
};

/* That agent's sn_backlog, by which its egress program marks. Only published to: no decision here depends on it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SN_QDISC_SLOTS);
	__type(key, __u32);
	__array(values, struct backlog);
} sn_backlogs SEC(".maps");

static __always_inline __u32 packet_bytes(const struct sk_buff *skb)
{
	return ((const struct qdisc_skb_cb *)skb->cb)->pkt_len;
}

/* The slot lives in Qdisc.limit, one up: the kernel gives a discipline no memory of its own, and uses that field not. */
static __always_inline __u32 slot_of(const struct Qdisc *queue)
{
	return queue->limit - 1;
}

static __always_inline struct sn_share *share_of(__u32 slot, __u32 class_id)
{
	__u32 index = slot * SN_CLASSES + class_id;

	return bpf_map_lookup_elem(&sn_shares, &index);
}

static __always_inline __u32 class_of(const struct sk_buff *skb, __u32 slot)
{
	__u32 class_id = (skb->priority & 0xffff) - SN_QUEUE_MINOR;
	struct sn_share *share;

	if (skb->priority >> 16 != SN_QUEUE_MAJOR || class_id >= SN_CLASSES)
		return SN_UNMATCHED;
	share = share_of(slot, class_id);
	return share && share->quantum_bytes ? class_id : SN_UNMATCHED;
}

static __always_inline __u64 limit_of(__u32 slot, __u32 class_id, __u64 now)
{
	struct sn_share *share = share_of(slot, class_id);
	void *orders = bpf_map_lookup_elem(&sn_orders, &slot);
	struct sn_order *order = orders ? bpf_map_lookup_elem(orders, &class_id) : 0;
	__u64 limit = 0;

	if (!share)
		return LIMIT_UNSAID;
	if (order && now < order->valid_until_ns)
		limit = share->limit_bytes;
	if (!limit)
		limit = share->static_limit_bytes;
	return limit ? limit : LIMIT_UNSAID;
}

static __always_inline __u64 pool_of(__u32 slot)
{
	struct sn_drain *drain = bpf_map_lookup_elem(&sn_drains, &slot);

	return drain && drain->pool_bytes && drain->pool_bytes < POOL_MOST ? drain->pool_bytes : POOL_MOST;
}

/* ---- places ---- */

static __always_inline struct place *place_at(__u32 slot, __u32 number)
{
	__u32 index = slot * SN_QDISC_PLACES + number;

	return number < SN_QDISC_PLACES ? bpf_map_lookup_elem(&sn_places, &index) : 0;
}

/* A place that nobody has, or NULL; it counts as taken only once `settle` says so. */
static __always_inline struct place *free_place(const struct sn_bank *bank, __u32 slot, __u32 *number)
{
	*number = bank->spare != NO_PLACE ? bank->spare : bank->fresh;
	return place_at(slot, *number);
}

static __always_inline void settle(struct sn_bank *bank, struct line *line, __u32 class_id, __u32 slot, __u32 number,
				   struct place *place)
{
	struct place *before = line->packets ? place_at(slot, line->last) : 0;

	if (number == bank->spare)
		bank->spare = place->next;
	else
		bank->fresh++;
	place->next = NO_PLACE;
	if (before) {
		before->next = number;
	} else {
		line->first = number;
		line->first_bytes = place->bytes;
		line->deficit = 0;
		bank->waiting |= 1u << class_id;
	}
	line->last = number;
	line->packets++;
	line->bytes += place->bytes;
	bank->bytes += place->bytes;
}

/* Takes the first place off its line; the packet in it is the caller's to fetch. */
static __always_inline struct place *leave(struct sn_bank *bank, struct line *line, __u32 class_id, __u32 slot)
{
	__u32 number = line->first;
	struct place *place = place_at(slot, number), *next;

	if (!place)
		return 0;
	line->packets--;
	line->bytes -= place->bytes;
	bank->bytes -= place->bytes;
	line->first = place->next;
	next = place_at(slot, place->next);
	if (next)
		line->first_bytes = next->bytes;
	else
		bank->waiting &= ~(1u << class_id);
	place->next = bank->spare;
	bank->spare = number;
	return place;
}

/* ---- in ---- */

static __always_inline struct sn_queue *told_of(__u32 slot, __u32 class_id)
{
	void *backlog = bpf_map_lookup_elem(&sn_backlogs, &slot);

	return backlog ? bpf_map_lookup_elem(backlog, &class_id) : 0;
}

static __always_inline void publish(__u32 slot, __u32 class_id, const struct line *line, __u64 limit, __u64 now)
{
	struct sn_queue *told = told_of(slot, class_id);

	if (!told)
		return;
	told->backlog_bytes = line->bytes;
	told->backlog_packets = line->packets;
	told->limit_bytes = limit;
	told->seen_ns = now;
}

static __always_inline void count_drop(__u32 slot, __u32 class_id, __u32 bytes)
{
	struct sn_queue *told = told_of(slot, class_id);

	if (!told)
		return;
	told->drops++;
	told->drop_bytes += bytes;
}

SEC("struct_ops/sn_enqueue")
int BPF_PROG(sn_enqueue, struct sk_buff *skb, struct Qdisc *queue, struct bpf_sk_buff_ptr *to_free)
{
	__u32 slot = slot_of(queue), bytes = packet_bytes(skb), class_id = class_of(skb, slot), number;
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, &slot);
	__u64 now = bpf_ktime_get_ns(), limit;
	struct place *place;
	struct line *line;

	if (!bank || class_id >= SN_CLASSES)
		goto refuse;
	line = &bank->line[class_id];
	limit = limit_of(slot, class_id, now);
	place = free_place(bank, slot, &number);
	publish(slot, class_id, line, limit, now);
	if (!place || line->bytes >= limit || bank->bytes >= pool_of(slot))
		goto refuse;
	skb = bpf_kptr_xchg(&place->skb, skb);
	if (skb)
		bpf_qdisc_skb_drop(skb, to_free); /* cannot be: a free place is empty */
	place->arrived_ns = now;
	place->bytes = bytes;
	settle(bank, line, class_id, slot, number, place);
	publish(slot, class_id, line, limit, now);
	queue->q.qlen++;
	queue->qstats.backlog += bytes;
	return NET_XMIT_SUCCESS;
refuse:
	count_drop(slot, class_id, bytes);
	queue->qstats.drops++;
	bpf_qdisc_skb_drop(skb, to_free);
	return NET_XMIT_DROP;
}

/* ---- out ---- */

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

/* ---- life ---- */

SEC("struct_ops/sn_init")
int BPF_PROG(sn_init, struct Qdisc *queue, struct nlattr *options, struct netlink_ext_ack *extack)
{
	struct net_device *device = queue->dev_queue->dev;
	struct sn_spot spot = {
		.netns = device->nd_net.net->ns.inum, .ifindex = device->ifindex, .parent = queue->parent};
	__u32 *slot = bpf_map_lookup_elem(&sn_slots, &spot);
	struct sn_bank *bank = slot ? bpf_map_lookup_elem(&sn_banks, slot) : 0;

	if (!bank)
		return -ENODEV;
	if (bank->taken)
		return -EBUSY;
	bank->taken = 1;
	bank->spare = NO_PLACE;
	bank->fresh = 0;
	queue->limit = *slot + 1;
	return 0;
}

static long drop_one(__u32 step, __u32 *slot)
{
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, slot);
	struct sk_buff *skb;
	struct place *place;

	if (!bank)
		return 1;
	for (__u32 class_id = 0; class_id < SN_CLASSES; class_id++) {
		if (!(bank->waiting >> class_id & 1))
			continue;
		place = leave(bank, &bank->line[class_id], class_id, *slot);
		skb = place ? bpf_kptr_xchg(&place->skb, 0) : 0;
		if (skb)
			bpf_kfree_skb(skb);
		return 0;
	}
	return 1;
}

/* The device goes down or the queue is taken away: all that waits is let go, by order of the kernel. */
SEC("struct_ops/sn_reset")
void BPF_PROG(sn_reset, struct Qdisc *queue)
{
	__u32 slot = slot_of(queue);
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, &slot);

	if (!bank)
		return;
	bpf_loop(SN_QDISC_PLACES + 1, drop_one, &slot, 0);
	bank->free_ns = 0;
	for (__u32 class_id = 0; class_id < SN_CLASSES; class_id++) {
		struct line *line = &bank->line[class_id];

		line->free_ns = 0;
		line->deficit = 0;
		publish(slot, class_id, line, 0, 0);
	}
	queue->q.qlen = 0;
	queue->qstats.backlog = 0;
}

/* Also called for a queue whose init failed: that one has no slot. */
SEC("struct_ops/sn_destroy")
void BPF_PROG(sn_destroy, struct Qdisc *queue)
{
	__u32 slot = slot_of(queue);
	struct sn_bank *bank = bpf_map_lookup_elem(&sn_banks, &slot);

	if (bank)
		bank->taken = 0;
}

/* The name can be registered only once, so the discipline of another ABI needs another. */
_Static_assert(SN_ABI_VERSION == 1, "the id below ends in the ABI version");

SEC(".struct_ops")
struct Qdisc_ops sn_buffer = {
	.enqueue = (void *)sn_enqueue,
	.dequeue = (void *)sn_dequeue,
	.init = (void *)sn_init,
	.reset = (void *)sn_reset,
	.destroy = (void *)sn_destroy,
	.id = "sn_buffer1",
};

/* The compiler describes a type only when something has it: an inner map's value too, or libbpf finds no size for it. */
union sn_inner_types {
	struct sn_order order;
	struct sn_queue queue;
};
const volatile union sn_inner_types sn_inner_types = {};
const volatile enum sn_qdisc_const sn_qdisc_consts = SN_QDISC_SLOTS;
const volatile enum sn_queue_const sn_queue_consts = SN_QUEUE_MAJOR;
