// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One map of each kind and one program of each hook, for the tests of the Python bank. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>

#define SN_TEST_CPUS 64

struct test_key {
	__be32 address;
	__be16 port;
	__u16 _pad;
};

struct test_pair {
	__u64 packets;
	__u32 last;
	__u32 _pad;
};

const volatile __u32 verdict = XDP_PASS;
const volatile __u64 step = 1;
const volatile __u8 answers[4] = {1, 2, 3, 4};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_TEST_CPUS *SN_CLASSES);
	__type(key, __u32);
	__type(value, struct sn_cell);
} cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u32);
} words SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct test_key);
	__type(value, struct test_pair);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct test_pair);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} percpu_words SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 64);
	__uint(key_size, 8);
	__uint(value_size, 8);
} prefixes SEC(".maps");

SEC("xdp")
int count(struct xdp_md *context)
{
	__u32 cell = (bpf_get_smp_processor_id() % SN_TEST_CPUS) * SN_CLASSES + 5, zero = 0;
	struct sn_cell *found = bpf_map_lookup_elem(&cells, &cell);
	struct test_pair *pair = bpf_map_lookup_elem(&percpu, &zero);

	if (!found || !pair)
		return XDP_ABORTED;
	found->packets += step;
	found->bytes += context->data_end - context->data;
	pair->packets += 1;
	pair->last = context->ingress_ifindex;
	return verdict;
}

/* The class of the metadata that came in, as the action; a frame without gets metadata and one byte changed. */
SEC("xdp")
int meta(struct xdp_md *context)
{
	void *end = (void *)(long)context->data_end;
	struct sn_meta *given = (void *)(long)context->data_meta;
	__u8 *data = (void *)(long)context->data;

	if ((void *)(given + 1) <= (void *)data)
		return given->magic == SN_META_MAGIC ? given->class_id : XDP_ABORTED;
	if (bpf_xdp_adjust_meta(context, -(int)sizeof(*given)))
		return XDP_ABORTED;
	data = (void *)(long)context->data;
	end = (void *)(long)context->data_end;
	given = (void *)(long)context->data_meta;
	if ((void *)(given + 1) > (void *)data || (void *)(data + 1) > end)
		return XDP_ABORTED;
	given->magic = SN_META_MAGIC;
	given->class_id = 7;
	data[0] ^= 0xff;
	return XDP_PASS;
}

SEC("tc")
int tag(struct __sk_buff *packet)
{
	__u32 word = 0;
	__u32 *found = bpf_map_lookup_elem(&words, &word);

	if (found)
		__sync_fetch_and_add(found, 1);
	packet->priority = packet->mark + 1;
	return TC_ACT_UNSPEC;
}
