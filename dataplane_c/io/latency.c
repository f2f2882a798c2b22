/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/latency.h"

uint64_t shoal_latency_bucket_ns(uint32_t bucket)
{
	uint64_t power = bucket / SHOAL_LATENCY_PARTS, part = bucket % SHOAL_LATENCY_PARTS;

	if (bucket < SHOAL_LATENCY_PARTS)
		return bucket;
	if (bucket >= SHOAL_LATENCY_BUCKETS - 1)
		return UINT64_MAX;
	return ((SHOAL_LATENCY_PARTS + part + 1) << (power - 1)) - 1;
}

uint64_t shoal_latency_quantile(const struct shoal_latency *latency, double share)
{
	double wanted = share * (double)latency->count;
	uint64_t seen = 0;

	for (uint32_t bucket = 0; latency->count && bucket < SHOAL_LATENCY_BUCKETS; bucket++) {
		uint64_t value = shoal_latency_bucket_ns(bucket);

		seen += latency->buckets[bucket];
		if (seen && (double)seen >= wanted)
			return value < latency->max_ns ? value : latency->max_ns;
	}
	return latency->max_ns;
}
