# SPDX-License-Identifier: BSD-3-Clause
"""What a histogram of latencies says."""

from __future__ import annotations

from shoal_dataplane.generator import latency_bucket_ns
from shoal_dataplane.traffic import Latency


def mean_ns(latency: Latency) -> float:
    """The true mean; 0 when there are no values."""
    return latency.sum_ns / latency.count if latency.count else 0.0


def used_buckets(latency: Latency) -> list[tuple[int, int]]:
    """Upper bound in nanoseconds and count of each bucket that is not empty."""
    return [(latency_bucket_ns(bucket), count) for bucket, count in enumerate(latency.buckets) if count]


def quantile_ns(latency: Latency, share: float) -> int:
    """The value that a share (0 to 1) of all does not exceed, as its bucket tells; 0 when there are none."""
    wanted, seen = share * sum(latency.buckets), 0
    for bound, count in used_buckets(latency):
        seen += count
        if seen >= wanted:
            return min(bound, latency.max_ns)
    return 0
