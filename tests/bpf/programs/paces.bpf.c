// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a later version of tier A's queue may pin: longer records, which begin as they do in every version. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>
#include <sentinel/qdisc.h>

struct test_share {
	struct sn_share share;
	__u64 news;
};

struct test_drain {
	struct sn_drain drain;
	__u64 news;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, struct sn_spot);
	__type(value, __u32);
} sn_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * SN_CLASSES);
	__type(key, __u32);
	__type(value, struct test_share);
} sn_shares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct test_drain);
} sn_drains SEC(".maps");
