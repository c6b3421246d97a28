/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which backends live: kept for each packet to ask, by probes that the kernel judges and news that user space brings. */
#ifndef SENTINEL_LB_LIFE_H
#define SENTINEL_LB_LIFE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/lb_stage.h>

const volatile __u64 sn_mesh_age_ns = 150000000; /* 10 Hz and one late record */

#define MISSED_PROBES 3

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_BACKENDS);
	__type(key, __u32);
	__type(value, struct sn_backend_state);
} sn_lb_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SN_LB_BACKENDS);
	__type(key, __u32);
	__type(value, struct sn_seen);
} sn_seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_prober);
} sn_prober SEC(".maps");

/* What is written on another CPU may be a little ahead of this packet. */
static __always_inline __u64 age(__u64 now, __u64 then)
{
	return now > then ? now - then : 0;
}

/* Two witnesses must agree: probes unanswered, and the mesh silent or suspicious. A silent prober proves nothing. */
static __always_inline int is_dead(__u32 backend, const struct sn_backend_state *state, __u64 now)
{
	__u32 zero = 0;
	struct sn_prober *prober = bpf_map_lookup_elem(&sn_prober, &zero);
	struct sn_seen *seen = bpf_map_lookup_elem(&sn_seen, &backend);
	__u64 patience;

	if (!prober || !seen)
		return 0;
	patience = prober->period_ns * MISSED_PROBES;
	if (age(now, prober->beat_ns) > patience || age(now, seen->last_seen_ns) <= patience)
		return 0;
	return (state->flags & SN_BACKEND_SUSPECTED) || age(now, state->mesh_ns) > sn_mesh_age_ns;
}

/* The state of a backend that lives, or NULL. */
static __always_inline struct sn_backend_state *living(__u32 backend, __u64 now)
{
	struct sn_backend_state *state = bpf_map_lookup_elem(&sn_lb_states, &backend);

	if (!state || !(state->flags & SN_BACKEND_PRESENT) || is_dead(backend, state, now))
		return NULL;
	return state;
}

/* One answer a node and interval: no two CPUs meet here often enough to matter. */
int sn_lb_note_answer(__u32 backend, __u32 seq, __u64 now_ns, __u64 rtt_ns)
{
	struct sn_seen *seen = bpf_map_lookup_elem(&sn_seen, &backend);

	if (!seen)
		return 0;
	seen->last_seen_ns = now_ns;
	seen->rtt_ns = rtt_ns;
	seen->answers++;
	seen->seq = seq;
	return 1;
}

#endif
