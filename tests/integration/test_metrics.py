# SPDX-License-Identifier: BSD-3-Clause
"""What Prometheus reads of a deployment under traffic: histograms fill, and docs/metrics.md lists all names."""

from __future__ import annotations

import re
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.test_deployment import CONFIG, FLOWS, Shell, shell, until

__all__ = ["config", "shell"]

LISTED = Path(__file__).parents[2] / "docs" / "metrics.md"
OF_THE_NAT = Path(__file__).parents[2] / "nfs" / "nat" / "README.md"
# What only another deployment has: several hosts, ports of an instance's own, a store, a second thread, objects that
# somebody has lost.
ELSEWHERE = re.compile(r"shoal_(fence|port|store|pipe|objects_(adopted|checked|rejected|lost|rolled_back))_")


def free_ports(count: int) -> int:
    """The first of so many in a row that nobody listens at."""
    for first in range(20000, 32000, count):
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise AssertionError("no ports are free")


@pytest.fixture
def config() -> str:
    return CONFIG + f'metrics: {{ address: "127.0.0.1:{free_ports(4)}" }}\n'


def scraped(port: int) -> dict[str, Metric]:
    """By name as in the exposition, counters with _total."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        family.name + "_total" * (family.type == "counter"): family for family in text_string_to_metric_families(text)
    }


def value(family: Metric, suffix: str, **labels: str) -> float:
    """Sum of the samples with that suffix and these labels."""
    return sum(
        sample.value
        for sample in family.samples
        if sample.name.endswith(suffix) and labels.items() <= sample.labels.items()
    )


def first_port(made: Shell) -> int:
    found = re.search(r'metrics: \{ address: "127.0.0.1:(\d+)"', made.file.read_text())
    assert found
    return int(found[1])


def members_measured(made: Shell) -> dict[str, set[str]]:
    """By instance: members to which a round trip has been measured."""
    measured: dict[str, set[str]] = {}
    for name, instance in made.instances().items():
        family = scraped(first_port(made) + 2 + instance["member"]).get("shoal_channel_round_trip_seconds")
        samples = family.samples if family else ()
        measured[name] = {
            sample.labels["member"] for sample in samples if sample.name.endswith("_count") and sample.value
        }
    return measured


@pytest.mark.timeout(180)
def test_real_traffic_fills_the_histograms(shell: Shell) -> None:
    until(lambda: len(shell.objects("nat.mapping")) == FLOWS, "a mapping for each flow")
    shell.good("scale", "nat", "2")
    members = {str(instance["member"]) for instance in shell.instances().values()}
    until(
        lambda: all(len(measured) == 1 for measured in members_measured(shell).values()),
        "each instance has measured the way to the other",
    )
    assert set().union(*members_measured(shell).values()) == members

    families = scraped(first_port(shell) + 2)
    packets, sent = families["shoal_packet_latency_seconds"], families["shoal_packets_transmitted_total"]
    count, total = value(packets, "_count"), value(packets, "_sum")
    # Counters are read while packets pass: the later ones may be a little ahead.
    assert 0.9 * value(sent, "_total") <= count <= 1.1 * value(sent, "_total")
    assert value(packets, "_bucket", le="+Inf") == count
    assert 0 < total / count < 5

    parked = scraped(first_port(shell) + 1)["shoal_splitter_redirect_seconds"]
    assert value(parked, "_count") == 128
    shown = shell.good("statistics", "nat-1")
    assert re.search(r"packet_latency_seconds\{le=\+Inf ns\} +│ \d", shown)
    assert re.search(r"channel_round_trip_seconds\{member=1,le=\+Inf ns\} +│ \d", shown)


@pytest.mark.timeout(180)
def test_the_list_of_metrics_is_the_whole_list(shell: Shell) -> None:
    shell.good("scale", "nat", "2")
    listed: set[str] = set(re.findall(r"^\| `(shoal_\w+)`", LISTED.read_text(), flags=re.MULTILINE))
    exposed: set[Any] = set().union(*(scraped(first_port(shell) + offset).keys() for offset in range(4)))
    assert exposed <= listed
    explained: set[str] = set(
        re.findall(r"^\| `(\w+)` \|", LISTED.read_text() + OF_THE_NAT.read_text(), flags=re.MULTILINE)
    )
    drops = (
        scraped(first_port(shell) + 1)["shoal_splitter_drops_total"],
        scraped(first_port(shell) + 2)["shoal_drops_total"],
    )
    reasons = {sample.labels["reason"] for family in drops for sample in family.samples}
    assert reasons >= {"runt", "instance_died", "parked_full", "no_mapping"}
    assert reasons <= explained
    assert {name for name in listed - exposed if not ELSEWHERE.match(name)} == set()
