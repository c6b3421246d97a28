// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The benchmark's loop: each repetition of a test run makes the frame one of another flow, notes the time every
 * SN_BENCH_BATCH packets, and jumps to whatever program is to be timed. With nothing to jump to it times itself.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>

enum sn_bench_const {
	SN_BENCH_BATCH = 256,
	SN_BENCH_STAMPS = 4096,
	SN_BENCH_PORTS = 4, /* flows of one source */
	SN_BENCH_FIRST_PORT = 1024,
	SN_BENCH_OUTER = 20, /* bytes of an IPv4 header */
	SN_BENCH_WORDS = 5, /* Ethernet, an IPv4 header, and the ports */
};

/* The compiler describes an enumeration in BTF only when something has its type. */
const volatile enum sn_bench_const sn_bench_consts = SN_BENCH_BATCH;

/* Of the frame that is sent: where the last four bytes of the source address are, and the source port. */
const volatile __u32 sn_address_at = 26;
const volatile __u32 sn_port_at = 34;

/* For programs that put a header in front: the frame's length and its first bytes, to begin each repetition anew. */
const volatile __u32 sn_frame_bytes = 0;
const volatile __u64 sn_frame_words[SN_BENCH_WORDS] = {};

struct sn_bench {
	__u64 packets;
	__u32 position;
	__u32 flows_mask; /* flows - 1, their number being a power of two */
	__u32 at_random; /* flows are drawn, instead of each once a round */
	__u32 _pad;
};
SN_SIZE(struct sn_bench, 24);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_bench);
} sn_bench SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_BENCH_STAMPS);
	__type(key, __u32);
	__type(value, __u64);
} sn_bench_stamps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} sn_bench_timed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} sn_bench_timed_out SEC(".maps");

static __always_inline void note_time(__u64 packets)
{
	__u32 index = (packets / SN_BENCH_BATCH) % SN_BENCH_STAMPS;
	__u64 *stamp = bpf_map_lookup_elem(&sn_bench_stamps, &index);

	if (stamp)
		*stamp = bpf_ktime_get_ns();
}

/* Every flow once a round, in an order that no prefetcher foresees: a full-period congruential generator. */
static __always_inline __u32 next_flow(struct sn_bench *bench)
{
	if (bench->at_random)
		return bpf_get_prandom_u32() & bench->flows_mask;
	bench->position = (bench->position * 1664525 + 1013904223) & bench->flows_mask;
	return bench->position;
}

static __always_inline void become(void *data, void *end, __u32 flow)
{
	if (data + sn_address_at + sizeof(__be32) <= end)
		*(__be32 *)(data + sn_address_at) = bpf_htonl(0x0a000001 + flow / SN_BENCH_PORTS);
	if (data + sn_port_at + sizeof(__be16) <= end)
		*(__be16 *)(data + sn_port_at) = bpf_htons(SN_BENCH_FIRST_PORT + flow % SN_BENCH_PORTS);
}

static __always_inline int begin_anew(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 *words;

	if (end - data != sn_frame_bytes && bpf_xdp_adjust_head(ctx, end - data - sn_frame_bytes))
		return -1;
	words = (void *)(long)ctx->data;
	if ((void *)(words + SN_BENCH_WORDS) > (void *)(long)ctx->data_end)
		return -1;
#pragma unroll
	for (int i = 0; i < SN_BENCH_WORDS; i++)
		words[i] = sn_frame_words[i];
	return 0;
}

static __always_inline struct sn_bench *one_more(void)
{
	__u32 zero = 0;
	struct sn_bench *bench = bpf_map_lookup_elem(&sn_bench, &zero);

	if (!bench)
		return NULL;
	if (!(bench->packets % SN_BENCH_BATCH))
		note_time(bench->packets);
	bench->packets++;
	return bench;
}

SEC("xdp.frags")
int sn_bench_next(struct xdp_md *ctx)
{
	struct sn_bench *bench = one_more();

	if (!bench)
		return XDP_ABORTED;
	if (sn_frame_bytes && begin_anew(ctx))
		return XDP_ABORTED;
	become((void *)(long)ctx->data, (void *)(long)ctx->data_end, next_flow(bench));
	/* A test run hands the next repetition what the last one left in front of the packet. */
	bpf_xdp_adjust_meta(ctx, ctx->data - ctx->data_meta);
	bpf_tail_call(ctx, &sn_bench_timed, 0);
	return XDP_PASS;
}

/* The same for programs of traffic control. */
SEC("tc")
int sn_bench_out(struct __sk_buff *skb)
{
	struct sn_bench *bench = one_more();

	if (!bench)
		return TC_ACT_SHOT;
	become((void *)(long)skb->data, (void *)(long)skb->data_end, next_flow(bench));
	bpf_tail_call(skb, &sn_bench_timed_out, 0);
	return TC_ACT_UNSPEC;
}

/* What it costs to put a header in front, and to take it off again before the next repetition. */
SEC("xdp.frags")
int sn_bench_grow(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -SN_BENCH_OUTER) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp.frags")
int sn_bench_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* What it costs a packet that there is an XDP program at all. */
SEC("xdp.frags")
int sn_bench_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}
