// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How much of each packet lies in one piece, as the next in line finds it. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>

#define LONG 1000 /* bytes of a packet that carries data */

struct sn_pieces {
	__u64 packets;
	__u64 most_bytes; /* that any of them had in one piece */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_pieces);
} sn_pieces SEC(".maps");

SEC("tc")
int sn_linear(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct sn_pieces *pieces = bpf_map_lookup_elem(&sn_pieces, &zero);
	__u64 bytes = skb->data_end - skb->data;

	if (!pieces || skb->len < LONG)
		return TC_ACT_UNSPEC;
	__sync_fetch_and_add(&pieces->packets, 1);
	if (bytes > pieces->most_bytes)
		pieces->most_bytes = bytes;
	return TC_ACT_UNSPEC;
}
