/* SPDX-License-Identifier: BSD-3-Clause */
/* Log-linear histograms of latencies; layout in shoal/dataplane.h. Our own because Debian 12 has no C library of
 * HdrHistogram. */
#ifndef SHOAL_IO_LATENCY_H
#define SHOAL_IO_LATENCY_H

#include <shoal/dataplane.h>

#define SHOAL_LATENCY_PARTS 32u /* of each power of two */
#define SHOAL_LATENCY_PARTS_BITS 5u

static inline uint32_t shoal_latency_bucket(uint64_t nanoseconds)
{
	unsigned exponent;
	uint64_t bucket;

	if (nanoseconds < SHOAL_LATENCY_PARTS)
		return (uint32_t)nanoseconds;
	exponent = 63u - (unsigned)__builtin_clzll(nanoseconds);
	bucket = (exponent - SHOAL_LATENCY_PARTS_BITS + 1) * (uint64_t)SHOAL_LATENCY_PARTS +
	         (nanoseconds >> (exponent - SHOAL_LATENCY_PARTS_BITS) & (SHOAL_LATENCY_PARTS - 1));
	return bucket < SHOAL_LATENCY_BUCKETS ? (uint32_t)bucket : SHOAL_LATENCY_BUCKETS - 1;
}

static inline void shoal_latency_add(struct shoal_latency *latency, uint64_t nanoseconds)
{
	if (!latency->count || nanoseconds < latency->min_ns)
		latency->min_ns = nanoseconds;
	if (nanoseconds > latency->max_ns)
		latency->max_ns = nanoseconds;
	latency->count++;
	latency->sum_ns += nanoseconds;
	latency->buckets[shoal_latency_bucket(nanoseconds)]++;
}

/* The value that a share (0 to 1) of all values does not exceed, as its bucket tells, at most max_ns; 0 when there are
 * none. */
uint64_t shoal_latency_quantile(const struct shoal_latency *latency, double share);

#endif
