// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a packet pays for what it asks of the kernel: one thing, sn_part, again and again, and how long that took. The
 * tables are as large, and their keys as long, as the balancer's.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>
#include <sentinel/lb.h>

enum sn_part_const {
	SN_PART_TIMES = 64, /* a run; more jumps than the verifier follows are in 128 */
	SN_PART_HEAD_BYTES = 20,
};

enum sn_part {
	SN_PART_NOTHING = 0,
	SN_PART_ARRAY = 1, /* an array's element, and one more in it */
	SN_PART_HASH = 2, /* an address in a hash table */
	SN_PART_TABLE = 3, /* a flow in the connection table, and its time */
	SN_PART_CLOCK = 4,
	SN_PART_TICKS = 5, /* the clock's count of ticks */
	SN_PART_HEAD = 6, /* room for a header made, and taken back */
};

/* The compiler describes an enumeration in BTF only when something has its type. */
const volatile enum sn_part_const sn_part_consts = SN_PART_TIMES;
const volatile enum sn_part sn_part = SN_PART_NOTHING;
const volatile __u32 sn_part_mask = 0; /* flows - 1, a power of two */

struct sn_part_state {
	__u64 took_ns;
	__u32 flow;
	__u32 _pad;
};
SN_SIZE(struct sn_part_state, 16);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_part_state);
} sn_part_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SN_LB_BACKENDS);
	__type(key, __u32);
	__type(value, struct sn_lb_cell);
} sn_part_cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sn_vip_key);
	__type(value, struct sn_vip);
} sn_part_vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct sn_flow_key);
	__type(value, struct sn_conn);
} sn_part_flows SEC(".maps");

/* Every flow once a round, in an order that no prefetcher foresees. */
static __always_inline __u32 next_flow(__u32 flow)
{
	return (flow * 1664525 + 1013904223) & sn_part_mask;
}

static __always_inline void once(struct xdp_md *ctx, __u64 *sum, __u32 flow, __u64 now_ns)
{
	struct sn_flow_key key = {.protocol = 6};
	struct sn_vip_key address = {.port = 1, .protocol = 6};
	struct sn_lb_cell *cell;
	struct sn_conn *conn;
	struct sn_vip *vip;

	switch (sn_part) {
	case SN_PART_ARRAY:
		flow &= SN_LB_BACKENDS - 1;
		cell = bpf_map_lookup_elem(&sn_part_cells, &flow);
		if (cell)
			cell->packets++;
		break;
	case SN_PART_HASH:
		vip = bpf_map_lookup_elem(&sn_part_vips, &address);
		if (vip)
			*sum += vip->ring;
		break;
	case SN_PART_TABLE:
		*(__u32 *)key.source = flow;
		conn = bpf_map_lookup_elem(&sn_part_flows, &key);
		if (conn)
			conn->last_ns = now_ns + conn->hash;
		break;
	case SN_PART_CLOCK:
		*sum += bpf_ktime_get_ns();
		break;
	case SN_PART_TICKS:
		*sum += bpf_jiffies64();
		break;
	case SN_PART_HEAD:
		bpf_xdp_adjust_head(ctx, -SN_PART_HEAD_BYTES);
		bpf_xdp_adjust_head(ctx, SN_PART_HEAD_BYTES);
		break;
	default:
		break;
	}
}

SEC("xdp")
int sn_parts(struct xdp_md *ctx)
{
	__u64 sum = bpf_get_prandom_u32(), start_ns;
	__u32 zero = 0, flow;
	struct sn_part_state *state = bpf_map_lookup_elem(&sn_part_state, &zero);

	if (!state)
		return XDP_ABORTED;
	flow = state->flow;
	start_ns = bpf_ktime_get_ns();
	for (int i = 0; i < SN_PART_TIMES; i++) {
		flow = next_flow(flow);
		barrier_var(flow);
		once(ctx, &sum, flow, start_ns);
		barrier_var(sum);
	}
	state->took_ns += bpf_ktime_get_ns() - start_ns;
	state->flow = flow;
	return sum == 1 ? XDP_DROP : XDP_PASS;
}

/* What is looked for is there. */
SEC("xdp")
int sn_parts_fill(struct xdp_md *ctx)
{
	struct sn_vip_key address = {.port = 1, .protocol = 6};
	struct sn_flow_key key = {.protocol = 6};
	struct sn_conn conn = {};
	struct sn_vip vip = {};
	__u32 zero = 0;
	struct sn_part_state *state = bpf_map_lookup_elem(&sn_part_state, &zero);

	if (!state)
		return XDP_ABORTED;
	bpf_map_update_elem(&sn_part_vips, &address, &vip, BPF_ANY);
	for (int i = 0; i < SN_PART_TIMES; i++) {
		state->flow = next_flow(state->flow);
		*(__u32 *)key.source = state->flow;
		bpf_map_update_elem(&sn_part_flows, &key, &conn, BPF_ANY);
	}
	return XDP_PASS;
}
