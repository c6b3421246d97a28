// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Lays open what the parser made of a frame, for comparison with the reference. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>
#include <sentinel/parse.h>

/* The compiler describes an enumeration in BTF only when something has it. */
const volatile enum sn_packet_flag sn_packet_flags = SN_HAS_PORTS;

struct sn_parsed {
	__u32 outcome;
	__u32 _pad;
	struct sn_packet packet;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_parsed);
} sn_parsed SEC(".maps");

SEC("xdp.frags")
int sn_lay_open(struct xdp_md *ctx)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	struct sn_packet packet = {};
	struct sn_parsed *parsed;
	__u32 zero = 0, outcome;

	span.length = bpf_xdp_get_buff_len(ctx);
	outcome = sn_parse_span(&span, &packet);
	parsed = bpf_map_lookup_elem(&sn_parsed, &zero);
	if (!parsed)
		return XDP_ABORTED;
	parsed->outcome = outcome;
	parsed->packet = packet;
	return XDP_PASS;
}
