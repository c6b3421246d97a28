// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Linked into every object: its version, and the BTF of all that is shared with user space. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>
#include <sentinel/reason.h>

/* The compiler describes a type in BTF only when something has it; a union costs the bytes of its largest member. */
union sn_abi_types {
	enum sn_const constants;
	enum sn_reason reason;
	enum sn_order_flag order_flag;
	enum sn_probe_kind probe_kind;
	enum sn_wire wire;
	struct sn_order order;
	struct sn_cell cell;
	struct sn_shape shape;
	struct sn_sojourn sojourn;
	struct sn_queue queue;
	struct sn_meta meta;
	struct sn_ready ready;
	struct sn_probe probe;
	struct sn_seen seen;
	struct sn_prober prober;
};

const volatile __u32 sn_abi_version = SN_ABI_VERSION;
const volatile union sn_abi_types sn_abi_types = {};

char sn_license[] SEC("license") = "Dual BSD/GPL";
