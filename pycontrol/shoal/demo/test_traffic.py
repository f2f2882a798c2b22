# SPDX-License-Identifier: BSD-3-Clause
import json
from dataclasses import replace

import pytest

from shoal.demo.settings import DemoSettings
from shoal.demo.traffic import LatencyCounts, TrafficState, compile_profile
from shoal.errors import ShoalError

DOCUMENT = {
    "shoal": {
        "elapsed_s": 2.0,
        "sent": 100,
        "received": 97,
        "lost": 3,
        "reordered": 1,
        "duplicated": 2,
        "corrupted": 4,
        "unknown_flow": 5,
        "mappings": {"violations": 6},
        "late": {"slipped_ms": 250.0},
        "latency_us": {"buckets": [[1.0, 90], [5.0, 6], [50.0, 1]]},
        "rows": [
            {"end_s": 0.5, "length_s": 0.5, "sent": 10, "received": 9, "p50_us": 1.0, "p99_us": 2.0, "p999_us": 3.0}
            | {"max_us": 4.0, "flows_live": 7}
        ],
    }
}


def test_the_books_are_read() -> None:
    state = TrafficState.parse(json.dumps(DOCUMENT))
    assert (state.sent, state.received, state.lost, state.slipped_s) == (100, 97, 3, 0.25)
    assert state.order_violations == 1 + 2
    assert state.mapping_violations == 6 + 4 + 5
    assert (state.rows[0].sent_pps, state.rows[0].flows) == (20.0, 7)


def test_latency_between_two_readings() -> None:
    earlier = LatencyCounts({1.0: 90, 5.0: 10})
    later = LatencyCounts({1.0: 90, 5.0: 109, 80.0: 1})
    between = later.since(earlier).percentiles()
    assert (between.p50, between.p99, between.p999, between.max) == (5.0, 5.0, 80.0, 80.0)


def test_no_packets_have_no_latency() -> None:
    assert LatencyCounts({}).percentiles().max == 0.0


async def test_a_rate_too_low_for_its_flows_is_refused() -> None:
    with pytest.raises(ShoalError, match="each flow that stays"):
        await compile_profile(replace(DemoSettings(), packets_per_second=10_000, flows=10_000))
