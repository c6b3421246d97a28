// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Our balancers' tunnels end here: IPIP, IP6IP6 or UDP, from outer sources that are allowed, and from no one else.
 *
 *   | Ethernet, VLANs | outer IP | (UDP) | inner IP …     ──►     | Ethernet, VLANs | inner IP …
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/ecn.h>
#include <sentinel/head.h>
#include <sentinel/peer.h>
#include <sentinel/stage.h>

/* The compiler describes an enumeration in BTF only when something has its type. */
const volatile enum sn_right sn_peer_rights = SN_MAY_TUNNEL;

const volatile __u16 sn_tunnel_port = SN_TUNNEL_PORT;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct sn_prefix);
	__type(value, struct sn_peer);
} sn_peers SEC(".maps");

/* As the last probe for an address of ours brought it: nobody has to tell, and one that changes is known by the next. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_own);
} sn_own SEC(".maps");

#define OWN_NS 1000000000ull /* where nobody probes, every frame is ours */
#define HARDWARE bpf_cpu_to_be64(~0ull << 16) /* of the first word of a frame */

int sn_note_own(struct xdp_md *ctx, __u64 now_ns)
{
	const __u64 *frame = (void *)(long)ctx->data;
	__u32 zero = 0;
	struct sn_own *own = bpf_map_lookup_elem(&sn_own, &zero);

	if (!own || (void *)(frame + 1) > (void *)(long)ctx->data_end)
		return 0;
	own->mac = *frame & HARDWARE;
	own->heard_ns = now_ns;
	return 1;
}

/* What a switch floods is seen where a card listens to everything: a neighbour's tunnel, which is not to end here. */
static __always_inline int is_elsewhere(struct xdp_md *ctx, __u64 now_ns)
{
	const __u64 *frame = (void *)(long)ctx->data;
	__u32 zero = 0;
	struct sn_own *own = bpf_map_lookup_elem(&sn_own, &zero);

	if (!own || (void *)(frame + 1) > (void *)(long)ctx->data_end)
		return 0;
	return own->mac && (*frame & HARDWARE) != own->mac && (__s64)(now_ns - own->heard_ns) < (__s64)OWN_NS;
}

static __always_inline struct sn_peer *peer_of(const struct sn_packet *packet)
{
	struct sn_prefix whole = {.length = 128};

	__builtin_memcpy(whole.address, packet->key.source, sizeof(whole.address));
	return bpf_map_lookup_elem(&sn_peers, &whole);
}

/* A bucket of SN_PROBE_BURST probes that refills one each gap; one a prefix, and good to a packet a CPU. */
int sn_may_probe(struct sn_packet *packet, __u64 gap_ns)
{
	struct sn_peer *peer;
	__u64 next;

	if (!packet)
		return SN_PROBE_REFUSED;
	peer = peer_of(packet);
	if (!peer || !(peer->rights & SN_MAY_PROBE))
		return SN_PROBE_REFUSED;
	next = peer->next_probe_ns > packet->now_ns ? peer->next_probe_ns : packet->now_ns;
	if (next - packet->now_ns > gap_ns * (SN_PROBE_BURST - 1))
		return SN_PROBE_TOO_FAST;
	peer->next_probe_ns = next + gap_ns;
	return SN_PROBE_GRANTED;
}

/* Where the inner header begins, or 0 when the packet is no tunnel of ours. */
static __always_inline __u32 inner_offset(const struct sn_packet *packet)
{
	if (packet->flags & SN_FRAGMENT)
		return 0;
	if (packet->key.protocol == IPPROTO_IPIP || packet->key.protocol == IPPROTO_IPV6)
		return packet->l4_offset;
	if (packet->key.protocol == IPPROTO_UDP && packet->key.destination_port == bpf_htons(sn_tunnel_port))
		return packet->l4_offset + sizeof(struct udphdr);
	return 0;
}

/* The Ethernet type that says what is inside; 0 when it is no IP. */
static __always_inline __be16 inner_type(struct xdp_md *ctx, __u32 offset)
{
	struct sn_span span = {(void *)(long)ctx->data, (void *)(long)ctx->data_end, 0};
	__u8 *first = sn_at(&span, offset, 1);

	if (!first)
		return 0;
	switch (*first >> 4) {
	case 4:
		return bpf_htons(ETH_P_IP);
	case 6:
		return bpf_htons(ETH_P_IPV6);
	default:
		return 0;
	}
}

/* The outer header's mark belongs to the inner packet, which is dropped if it cannot carry it. */
static __always_inline int keep_mark(struct xdp_md *ctx, struct sn_packet *packet)
{
	if (packet->ecn == SN_ECN_NONE)
		return sn_decided(packet, SN_REASON_TUNNEL_CONGESTED, SN_DROP);
	if (packet->ecn != SN_ECN_CE)
		sn_mark_ce((void *)(long)ctx->data, (void *)(long)ctx->data_end, packet);
	packet->ecn = SN_ECN_CE;
	return SN_CONTINUE;
}

int sn_decapsulate(struct xdp_md *ctx, struct sn_packet *packet)
{
	struct sn_packet inner = {};
	struct sn_peer *peer;
	__u32 offset;
	__be16 type;

	if (!packet)
		return SN_PASS;
	offset = inner_offset(packet);
	if (!offset)
		return SN_CONTINUE;
	peer = peer_of(packet);
	if (!peer || !(peer->rights & SN_MAY_TUNNEL)) {
		packet->foreign = SN_REASON_TUNNEL_FOREIGN;
		return SN_CONTINUE;
	}
	if (is_elsewhere(ctx, packet->now_ns)) {
		packet->foreign = SN_REASON_TUNNEL_ELSEWHERE;
		return SN_CONTINUE;
	}
	type = inner_type(ctx, offset);
	if (!type || offset >= packet->ip_end)
		return sn_decided(packet, SN_REASON_TUNNEL_MALFORMED, SN_DROP);
	if (sn_move_head(ctx, packet, offset - packet->l3_offset, type))
		return sn_decided(packet, SN_REASON_HELPER_FAILED, SN_DROP);
	inner.now_ns = packet->now_ns;
	inner.cpu = packet->cpu;
	if (sn_parse_xdp(ctx, &inner) != SN_FOUND)
		return sn_decided(packet, SN_REASON_TUNNEL_MALFORMED, SN_DROP);
	offset = packet->ecn == SN_ECN_CE;
	*packet = inner;
	peer = inner_offset(packet) ? peer_of(packet) : NULL;
	if (peer && (peer->rights & SN_MAY_TUNNEL))
		packet->flags |= SN_TWICE;
	return offset ? keep_mark(ctx, packet) : SN_CONTINUE;
}
