// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which class a packet belongs to: the first rule that it matches. At most SN_RULES comparisons, and only for the
 * first packet of a flow after a change: the flow table keeps the answer with the generation that gave it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/rules.h>
#include <sentinel/stage.h>

#define ATTEMPTS 2
#define RULES_A_CALL 8

/* The compiler describes an enumeration in BTF only when something has its type; user space reads both. */
const volatile enum sn_rules_const sn_rules_types = SN_RULES;
const volatile enum sn_rule_check sn_rules_checks = SN_RULE_PROTOCOL;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * SN_RULES);
	__type(key, __u32);
	__type(value, struct sn_rule);
} sn_rules SEC(".maps");

struct search {
	struct sn_flow_key key;
	__u16 source_port;
	__u16 destination_port;
	__u32 first; /* index of the bank */
	__u32 end; /* behind its last rule */
	__u32 class_id;
	__u8 dscp;
	__u8 has_ports;
};

static __always_inline int within(const __u8 *address, const __u8 *wanted, const __u8 *mask)
{
	const __u64 *a = (const __u64 *)address, *w = (const __u64 *)wanted, *m = (const __u64 *)mask;

	return (a[0] & m[0]) == w[0] && (a[1] & m[1]) == w[1];
}

static __always_inline int ports_match(const struct sn_rule *rule, const struct search *search)
{
	return search->has_ports && search->source_port >= rule->source_port_min &&
	       search->source_port <= rule->source_port_max && search->destination_port >= rule->destination_port_min &&
	       search->destination_port <= rule->destination_port_max;
}

static __always_inline int matches(const struct sn_rule *rule, const struct search *search)
{
	__u8 checks = rule->checks;

	if ((checks & SN_RULE_PROTOCOL) && rule->protocol != search->key.protocol)
		return 0;
	if ((checks & SN_RULE_PORTS) && !ports_match(rule, search))
		return 0;
	if ((checks & SN_RULE_DSCP) && rule->dscp != search->dscp)
		return 0;
	return within(search->key.destination, rule->destination, rule->destination_mask) &&
	       within(search->key.source, rule->source, rule->source_mask);
}

/* Loop body: 1 ends the search. A call costs more than a comparison, so that each makes several. */
static long match(__u32 round, struct search *search)
{
	__u32 index = search->first + round * RULES_A_CALL;

	for (int each = 0; each < RULES_A_CALL; each++, index++) {
		struct sn_rule *rule = bpf_map_lookup_elem(&sn_rules, &index);

		if (!rule || index >= search->end)
			return 1;
		if (matches(rule, search)) {
			search->class_id = rule->class_id;
			return 1;
		}
	}
	return 0;
}

/*
 * A bank is rewritten only after the other one was published, so an unchanged generation proves that what was read is
 * whole. After ATTEMPTS swaps within one search the packet is unmatched, and the next one of its flow asks again.
 */
int sn_class_of(struct sn_packet *packet)
{
	struct search search = {};

	if (!packet)
		return SN_UNMATCHED;
	search.key = packet->key;
	search.source_port = bpf_ntohs(packet->key.source_port);
	search.destination_port = bpf_ntohs(packet->key.destination_port);
	search.dscp = packet->dscp;
	search.has_ports = packet->flags & SN_HAS_PORTS;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		__u32 generation = sn_generation();
		__u32 count = sn_rule_count(generation);

		search.class_id = SN_UNMATCHED;
		search.first = (generation & 1) * SN_RULES;
		search.end = search.first + (count < SN_RULES ? count : SN_RULES);
		bpf_loop(SN_RULES / RULES_A_CALL, match, &search, 0);
		if ((__u32)sn_generation() == generation) {
			packet->generation = generation;
			return search.class_id < SN_CLASSES ? search.class_id : SN_UNMATCHED;
		}
	}
	packet->generation = sn_generation() - 1;
	return SN_UNMATCHED;
}
