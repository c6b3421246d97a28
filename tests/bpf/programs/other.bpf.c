// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Somebody else's program, and a successor of bank.bpf.c whose map has another shape. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, __u64);
	__type(value, __u64);
} table SEC(".maps");

/* Lies as `percpu` of bank.bpf.c does, under other names. */
struct other_pair {
	__u64 frames;
	__u64 more;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct other_pair);
} percpu SEC(".maps");

SEC("xdp")
int stranger(struct xdp_md *context)
{
	__u64 key = context->ingress_ifindex;
	__u64 *seen = bpf_map_lookup_elem(&table, &key);

	if (seen)
		__sync_fetch_and_add(seen, 1);
	return XDP_PASS;
}
