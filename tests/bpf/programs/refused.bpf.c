// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reads beyond the packet: the verifier must refuse it, and say why. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int beyond(struct xdp_md *context)
{
	__u8 *data = (void *)(long)context->data;

	return data[100];
}
