// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packet and SYN rate of each source: counted only, for protection to come. Flows report in batches, once a pane. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/stage.h>

#define NS_PER_S 1000000000ull
#define WINDOW_NS NS_PER_S

struct address {
	__u8 bytes[16];
} __attribute__((aligned(8)));

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct address);
	__type(value, struct sn_source);
} sn_sources SEC(".maps");

/* Sources come over many CPUs, so their counters are atomic; who turns the window is decided by its start. */
static __always_inline void turn_window(struct sn_source *source, __u64 now)
{
	__u64 start = source->window_ns, elapsed = now - start, packets, syns;

	if (now < start + WINDOW_NS || __sync_val_compare_and_swap(&source->window_ns, start, now) != start)
		return;
	packets = __sync_fetch_and_and(&source->window_packets, 0);
	syns = __sync_fetch_and_and(&source->window_syns, 0);
	source->packets_per_s = packets * (NS_PER_S / 1000) / (elapsed / 1000);
	source->syns_per_s = syns * (NS_PER_S / 1000) / (elapsed / 1000);
}

int sn_blame(struct sn_packet *packet, __u32 packets)
{
	struct sn_source fresh = {}, *source;
	__u8 address[sizeof(packet->key.source)]; /* before 6.3 a key must lie on the stack */
	__u64 syn;

	if (!packet)
		return 0;
	syn = !!(packet->flags & SN_SYN);
	__builtin_memcpy(address, packet->key.source, sizeof(address));
	source = bpf_map_lookup_elem(&sn_sources, address);
	if (!source) {
		fresh.window_ns = packet->now_ns;
		fresh.packets = packets;
		fresh.syns = syn;
		fresh.window_packets = packets;
		fresh.window_syns = syn;
		bpf_map_update_elem(&sn_sources, address, &fresh, BPF_NOEXIST);
		return 0;
	}
	turn_window(source, packet->now_ns);
	__sync_fetch_and_add(&source->packets, packets);
	__sync_fetch_and_add(&source->window_packets, packets);
	if (syn) {
		__sync_fetch_and_add(&source->syns, 1);
		__sync_fetch_and_add(&source->window_syns, 1);
	}
	return 0;
}
