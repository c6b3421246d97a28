// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Built against layouts of another time. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <sentinel/abi.h>

const volatile __u32 sn_abi_version = SN_ABI_VERSION + 1;

SEC("xdp")
int pass(struct xdp_md *context)
{
	return sn_abi_version ? XDP_PASS : XDP_DROP;
}

char sn_license[] SEC("license") = "Dual BSD/GPL";
