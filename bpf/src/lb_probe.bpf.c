// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A node's answer to a probe: noted, so that each packet can ask when that node was last heard. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

static __always_inline struct sn_probe *answer_in(const struct sn_span *span, const struct sn_packet *packet)
{
	__u32 offset = packet->l4_offset + sizeof(struct udphdr);
	struct sn_probe *probe = sn_bounded_at(span, offset, sizeof(*probe));

	if (!probe || offset + sizeof(*probe) > packet->ip_end || probe->magic != bpf_htonl(SN_PROBE_MAGIC) ||
	    probe->version != SN_PROBE_VERSION || probe->kind != SN_PROBE_ANSWER)
		return NULL;
	return probe;
}

int sn_lb_heard(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	__u32 backend, seq;
	__u64 sent_ns, now_ns;
	struct sn_probe *probe;

	if (!packet)
		return SN_CONTINUE;
	probe = answer_in(&span, packet);
	if (!probe)
		return SN_CONTINUE;
	backend = bpf_ntohs(probe->backend);
	seq = bpf_ntohl(probe->seq);
	sent_ns = bpf_be64_to_cpu(probe->sent_ns);
	packet->reason = SN_LB_PROBE_FOREIGN;
	if (!sn_lb_is_address(backend, packet))
		return SN_PASS;
	packet->reason = SN_LB_PROBE;
	now_ns = bpf_ktime_get_ns(); /* a packet's own is too coarse for a round trip */
	sn_lb_note_answer(backend, seq, now_ns, now_ns > sent_ns ? now_ns - sent_ns : 0);
	return SN_DROP;
}
