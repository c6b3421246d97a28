// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which generation of the rules is in force; the agent keeps the same beside its flow table. */
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

static __always_inline struct sn_rules_head *head(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sn_rules_head, &zero);
}

int sn_generation(void)
{
	struct sn_rules_head *found = head();

	return found ? READ_ONCE(found->generation) : 0;
}

int sn_rule_count(__u32 generation)
{
	struct sn_rules_head *found = head();

	if (!found)
		return 0;
	return generation & 1 ? READ_ONCE(found->count_odd) : READ_ONCE(found->count_even);
}
