# SPDX-License-Identifier: BSD-3-Clause
import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shoal.errors import InvalidRequestError, RefusedError
from shoal.metrics import Exporter, Sample, require_free, split_address
from shoal_dataplane import Statistic, StatisticKind

ROWS = (
    Statistic("packets_received_total", "port", "inside", StatisticKind.COUNTER, 7),
    Statistic("packets_received_total", "port", "outside", StatisticKind.COUNTER, 8),
    Statistic("parked_packets", "", "", StatisticKind.GAUGE, 3),
    Statistic("take_seconds", "", "", StatisticKind.HISTOGRAM, 2, "999"),
    Statistic("take_seconds", "", "", StatisticKind.HISTOGRAM, 5, "+Inf"),
    Statistic("take_seconds", "", "", StatisticKind.HISTOGRAM, 4_000_000_000, "sum"),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scraped(samples: tuple[Sample, ...]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    address = f"127.0.0.1:{free_port()}"
    exporter = Exporter(address, lambda: samples)
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        exporter.close()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_rows_become_metrics_with_the_labels_of_their_component() -> None:
    found = scraped((Sample({"instance": "nat-1"}, ROWS), Sample({"instance": "nat-2"}, ROWS[:1])))
    one, two = ("instance", "nat-1"), ("instance", "nat-2")
    assert found["shoal_packets_received_total", (one, ("port", "outside"))] == 8
    assert found["shoal_packets_received_total", (two, ("port", "inside"))] == 7
    assert found["shoal_parked_packets", (one,)] == 3


def test_a_histogram_is_told_in_seconds() -> None:
    found = scraped((Sample({}, ROWS),))
    assert found["shoal_take_seconds_bucket", (("le", "9.99e-07"),)] == 2
    assert found["shoal_take_seconds_bucket", (("le", "+Inf"),)] == 5
    assert found["shoal_take_seconds_count", ()] == 5
    assert found["shoal_take_seconds_sum", ()] == 4


def test_a_histogram_may_have_a_label() -> None:
    rows = [
        Statistic("channel_round_trip_seconds", "member", member, StatisticKind.HISTOGRAM, value, bound)
        for member, value, bound in (
            ("1", 2, "1023"),
            ("1", 4, "+Inf"),
            ("1", 3_000_000_000, "sum"),
            ("2", 7, "1023"),
            ("2", 7, "+Inf"),
            ("2", 500_000_000, "sum"),
        )
    ]
    found = scraped((Sample({"instance": "nat-1"}, rows),))
    instance = ("instance", "nat-1")
    for member, below, count, total in (("1", 2, 4, 3), ("2", 7, 7, 0.5)):
        labels = (instance, ("member", member))
        assert found["shoal_channel_round_trip_seconds_bucket", (instance, ("le", "1.023e-06"), labels[1])] == below
        assert found["shoal_channel_round_trip_seconds_count", labels] == count
        assert found["shoal_channel_round_trip_seconds_sum", labels] == total


def test_an_address_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RefusedError, match="can't serve metrics"):
            Exporter(address, lambda: ())
        with pytest.raises(RefusedError, match="Address already in use"):
            require_free(address)
    require_free(address)
    with pytest.raises(RefusedError, match="can't serve metrics on nowhere"):
        require_free("nowhere.invalid:9464")


@pytest.mark.parametrize("address", ["", "9464", "host:", ":9464", "host:0", "host:65536", "host:x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequestError):
        split_address(address)


def test_durations_are_in_base_units_whatever_they_are_counted_in() -> None:
    rows = [
        Statistic("plan_milliseconds_total", "", "", StatisticKind.COUNTER, 1500),
        Statistic("pause_microseconds", "", "", StatisticKind.GAUGE, 250),
        Statistic("plans_total", "", "", StatisticKind.COUNTER, 3),
    ]
    found = scraped((Sample({}, rows),))
    assert found == {
        ("shoal_plan_seconds_total", ()): 1.5,
        ("shoal_pause_seconds", ()): 0.00025,
        ("shoal_plans_total", ()): 3,
    }
