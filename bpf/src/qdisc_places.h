/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The places of a queue: one pool, and the lines that are chains of them. */
#ifndef SENTINEL_QDISC_PLACES_H
#define SENTINEL_QDISC_PLACES_H

#include "qdisc_state.h"

#define NO_PLACE 0xffffffff

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

#endif
