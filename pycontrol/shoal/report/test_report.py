# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from shoal.report import picture, verdict
from shoal.report.document import Balance, Document, InstanceFigures, Latency, Phase, ScalingEvent
from shoal.report.timeline import ClusterSample, Span, Timeline, TrafficRow

GOOD = Document(
    loss_packets=0,
    order_violations=0,
    mapping_violations=0,
    phases=(Phase("1 instance", 1, 100_000.0, 99_999.5, Latency(5.0, 9.0, 20.0, 300.5)),),
    events=(ScalingEvent("1 → 2", 12.5, 8192, 5000, 17),),
    instances=(InstanceFigures("nat-0", 4711, 1000, 20, 30, 4),),
    balance=Balance(1010, 1000, {"nat.ports_exhausted": 10}),
)


def test_json_has_the_promised_fields() -> None:
    document = json.loads(GOOD.to_json())
    assert set(document) == {
        *("loss_packets", "order_violations", "mapping_violations"),
        *("phases", "events", "instances", "balance"),
    }
    (phase,) = document["phases"]
    assert set(phase) == {"name", "instances", "offered_pps", "achieved_pps", "latency_us"}
    assert set(phase["latency_us"]) == {"p50", "p99", "p999", "max"}
    assert set(document["events"][0]) == {"kind", "duration_ms", "slots_moved", "objects_moved", "max_parked"}
    assert set(document["instances"][0]) == {
        *("name", "pid", "packets", "messages", "leases_moved", "remote_accesses"),
    }
    assert document["balance"] == {"sent": 1010, "received": 1000, "drops": {"nat.ports_exhausted": 10}}


def test_good_run_has_no_faults() -> None:
    assert GOOD.faults() == []
    assert "GOOD" in verdict.verdict(GOOD).plain


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"loss_packets": 1}, "lost"),
        ({"order_violations": 2}, "behind a later one"),
        ({"mapping_violations": 3}, "wrong public"),
        ({"balance": Balance(1010, 1000)}, "balance: 10"),
        ({"balance": Balance(0, 0)}, "no packet arrived"),
        ({"events": (ScalingEvent("1 → 2", 12.5, 0, 5000, 17),)}, "moved no slot"),
        ({"events": (ScalingEvent("1 → 2", 12.5, 1, 0, 17),)}, "moved no object"),
    ],
)
def test_each_fault_is_told(changes: dict[str, object], word: str) -> None:
    document = replace(GOOD, **changes)  # type: ignore[arg-type]
    (fault,) = document.faults()
    assert word in fault
    assert "BAD" in verdict.verdict(document).plain


def test_tables_can_be_shown() -> None:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(verdict.show(GOOD))
    for word in ("1 instance", "1 → 2", "4711", "10 nat.ports_exhausted", "GOOD"):
        assert word in shown.get()


def test_picture_is_a_png_of_its_size(tmp_path: Path) -> None:
    timeline = Timeline(
        traffic=[
            TrafficRow(i * 0.5, 0.5, 50_000, 50_000 - i, 5.0, 9.0, 12.0, 300.0 + i, flows=10_000) for i in range(1, 60)
        ],
        cluster=[ClusterSample(float(i), 1 + i // 10, i * 100, parked=0) for i in range(30)],
        events=[Span("1 → 2", 10.0, 10.4)],
    )
    assert [row.end_s for row in timeline.between(1.0, 2.0)] == [1.5, 2.0]
    path = tmp_path / "run.png"
    picture.draw(timeline, "a run", path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20], "big") == 1100


def test_picture_of_nothing(tmp_path: Path) -> None:
    picture.draw(Timeline(), "ended at once", tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 0
