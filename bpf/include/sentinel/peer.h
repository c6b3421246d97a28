/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who may end a tunnel here, and who may ask whether we live: sn_peers, longest prefix first. */
#ifndef SENTINEL_PEER_H
#define SENTINEL_PEER_H

#include <linux/types.h>

struct sn_prefix {
	__u32 length; /* in bits of the mapped address: a v4 prefix of n bits is one of 96 + n */
	__u8 address[16];
};
_Static_assert(sizeof(struct sn_prefix) == 20, "a map key has no hidden padding");

enum sn_right {
	SN_MAY_TUNNEL = 1,
	SN_MAY_PROBE = 2,
};

struct sn_peer {
	__u32 rights; /* enum sn_right */
	__u32 _pad;
	__u64 next_probe_ns; /* kept by the kernel; user space writes zero */
};
_Static_assert(sizeof(struct sn_peer) == 16, "written by user space");

/* The hardware address that frames for this node bear, as the kernel itself learns it. */
struct sn_own {
	__u64 mac; /* six bytes as in a frame, then two of zero; zero: none was learned */
	__u64 heard_ns;
};
_Static_assert(sizeof(struct sn_own) == 16, "read by tests");

enum sn_probe_grant {
	SN_PROBE_GRANTED = 0,
	SN_PROBE_REFUSED = 1,
	SN_PROBE_TOO_FAST = 2,
	SN_PROBE_BURST = 32,
};

#endif
