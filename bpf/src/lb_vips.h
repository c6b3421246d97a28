/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which VIP a packet is for: asked of a table, and remembered by each CPU for the packets that follow. */
#ifndef SENTINEL_LB_VIPS_H
#define SENTINEL_LB_VIPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sn_vip_key);
	__type(value, struct sn_vip);
} sn_lb_vips SEC(".maps");

/* Sized at load for the CPUs there are; on one beyond, the table is always asked. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_NEAR);
	__type(key, __u32);
	__type(value, struct sn_lb_near);
} sn_lb_near SEC(".maps");

/* Of a multiplicative hash, its upper bits. */
static __always_inline __u32 place_of(const struct sn_vip_key *key)
{
	__u32 last = ((const __u32 *)key->address)[3];

	return ((last ^ ((__u32)key->port << 16 | key->protocol)) * 0x9e3779b1u) >> 26;
}

_Static_assert(SN_LB_NEAR == 1 << (32 - 26), "place_of leaves six bits");

static __always_inline int same_vip(const struct sn_vip_key *one, const struct sn_vip_key *other)
{
	const __u32 *a = (const __u32 *)one, *b = (const __u32 *)other;

	return a[3] == b[3] && a[4] == b[4] && a[2] == b[2] && a[1] == b[1] && a[0] == b[0];
}

/* As this CPU knows it, unless one was changed since: then the table is asked, and its answer kept. */
static __always_inline struct sn_vip *vip_of(const struct sn_packet *packet, __u64 changes)
{
	struct sn_vip_key key = {};
	struct sn_lb_near *near;
	struct sn_vip *vip;
	__u32 index;

	__builtin_memcpy(key.address, packet->key.destination, sizeof(key.address));
	key.port = packet->key.destination_port;
	key.protocol = packet->key.protocol;
	index = packet->cpu * SN_LB_NEAR + place_of(&key);
	near = bpf_map_lookup_elem(&sn_lb_near, &index);
	if (!near)
		return bpf_map_lookup_elem(&sn_lb_vips, &key);
	if (near->as_of == changes + 1 && same_vip(&near->key, &key))
		return &near->vip;
	vip = bpf_map_lookup_elem(&sn_lb_vips, &key);
	if (!vip)
		return NULL;
	near->key = key;
	near->vip = *vip;
	near->as_of = changes + 1;
	return &near->vip;
}

#endif
