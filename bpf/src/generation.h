/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which generation of the rules is in force; in the unit that asks for every packet whether that is still the same. */
#ifndef SENTINEL_GENERATION_H
#define SENTINEL_GENERATION_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/rules.h>
#include <sentinel/stage.h>

#define READ_ONCE(place) (*(const volatile typeof(place) *)&(place))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_rules_head);
} sn_rules_head SEC(".maps");

static __always_inline __u32 generation(void)
{
	__u32 only = 0;
	struct sn_rules_head *head = bpf_map_lookup_elem(&sn_rules_head, &only);

	return head ? READ_ONCE(head->generation) : 0;
}

int sn_generation(void)
{
	return generation();
}

int sn_rule_count(__u32 of_generation)
{
	__u32 only = 0;
	struct sn_rules_head *head = bpf_map_lookup_elem(&sn_rules_head, &only);

	if (!head)
		return 0;
	return of_generation & 1 ? READ_ONCE(head->count_odd) : READ_ONCE(head->count_even);
}

#endif
