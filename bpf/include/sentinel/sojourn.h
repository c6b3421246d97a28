/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which bucket of struct sn_sojourn a time in the queue belongs to: four an octave of microseconds (abi.h). */
#ifndef SENTINEL_SOJOURN_H
#define SENTINEL_SOJOURN_H

#include <sentinel/abi.h>

static __always_inline __u32 sn_sojourn_bucket(__u64 spent_ns)
{
	__u64 us = spent_ns / 1000;
	__u32 octave = 0, bucket;

	if (us < 1)
		us = 1;
	if (us >> 32)
		return SN_SOJOURN_BUCKETS - 1;
#pragma unroll
	for (int step = 16; step; step >>= 1)
		if (us >> (octave + step))
			octave += step;
	bucket = octave * 4 + ((us * 4 >> octave) & 3);
	return bucket < SN_SOJOURN_BUCKETS ? bucket : SN_SOJOURN_BUCKETS - 1;
}

#endif
