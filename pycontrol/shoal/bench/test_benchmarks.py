# SPDX-License-Identifier: BSD-3-Clause
"""Every benchmark runs, and says what it must. Nothing here looks at how fast anything is."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shoal.bench import catalogue, machine, program
from shoal.bench.catalogue import BENCHMARKS, Benchmark
from shoal.bench.program import Settings
from shoal.cli.main import app
from shoal.errors import InvalidRequestError, RefusedError, ShoalError

TRAFFIC = {"nf", "plane", "flows", "distribution", "packet_bytes", "blocked", "new_flows"}
KEYS = {
    "limit": TRAFFIC,
    "fastpath": TRAFFIC,
    "planes": TRAFFIC,
    "scale_event": TRAFFIC | {"metric", "event", "steering"},
    "scaling": TRAFFIC | {"metric", "how", "instances"},
    "microthread": {"metric", "implementation", "suspended", "stack_bytes"},
    "channel": {"metric", "transport", "message_bytes", "batch"},
    "migration": {"metric", "moved_by", "object_bytes", "objects"},
}
"""What every row of a benchmark is told by; whoever reads its JSON may rely on these."""
METRICS = {
    "fastpath": {"new_flows_per_second", "bytes_beyond_key_and_object"},
    "planes": {"shared_against_remote", "shared_against_ring_store_per_core", "latency_us_p50", "latency_us_p99"},
    "scale_event": {
        *("packets_lost", "disturbed_window_ms", "throughput_ratio", "two_hop_ms", "max_parked", "bytes_moved"),
        *("control_disturbed_window_ms", "disturbed_window_settled_ms", "offered", "preempted_bins"),
    },
    "migration": {"objects_per_second", "bytes_per_second", "messages_per_object", "duration"},
}
FIRST, SECOND = machine.default_cores()


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=[benchmark.name for benchmark in BENCHMARKS])
def test_it_runs(benchmark: Benchmark) -> None:
    outcome = benchmark.run(Settings(FIRST, SECOND, quick=True))

    assert outcome.rows
    for row in outcome.rows:
        assert row.get("benchmark") == benchmark.name
        assert row.value >= 0
        assert row.unit
        assert row.limited_by
        assert KEYS.get(benchmark.name, set()) <= dict(row.parameters).keys()
    for line in outcome.series:
        assert len(line["x"]) == len(line["y"])
        assert set(line["marked"]) <= set(line["x"])
    assert METRICS.get(benchmark.name, set()) <= {row.get("metric") for row in outcome.rows}
    assert len({(row.parameters, row.unit) for row in outcome.rows}) == len(outcome.rows)


def test_the_verb_writes_rows_and_a_picture(tmp_path: Path) -> None:
    rows, plot = tmp_path / "rows.json", tmp_path / "rows.png"

    answer = CliRunner().invoke(app, ["bench", "limit", "--quick", "--json", str(rows), "--plot", str(plot)])

    assert answer.exit_code == 0, answer.output
    written = json.loads(rows.read_text())
    assert {"cpu_model", "cores", "hugepages", "kernel", "dpdk", "compiler_flags", "load_average"} <= set(
        written["machine"]
    )
    ideal = [row for row in written["rows"] if row["stage"] == "ideal_nat"]
    assert [row["ratio_to_ideal"] for row in ideal] == [1.0]
    assert {"runs", "q1", "q3", "limited_by", "unit", "flows"} <= set(ideal[0])
    assert plot.read_bytes().startswith(b"\x89PNG")
    again = CliRunner().invoke(app, ["bench", "limit", "--quick", "--against", "--baseline", str(rows)])
    assert again.exit_code == 0, again.output
    assert "before" in again.output


def test_without_a_name_they_are_listed() -> None:
    answer = CliRunner().invoke(app, ["bench"])

    assert answer.exit_code == 0
    assert all(benchmark.name in answer.output for benchmark in BENCHMARKS)


def test_unknown_names_are_refused() -> None:
    assert CliRunner().invoke(app, ["bench", "nonsense"]).exit_code == 2
    with pytest.raises(InvalidRequestError, match="no such benchmark: nonsense; there are: limit"):
        catalogue.chosen(["limit", "nonsense"])


def test_a_baseline_that_is_not_there_is_refused(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["bench", "limit", "--against", "--baseline", str(tmp_path / "none.json")])

    assert answer.exit_code == 4


def test_a_program_that_is_not_built_is_named() -> None:
    with pytest.raises(RefusedError, match="make setup"):
        program.find("nonsense")


def test_what_a_program_prints_must_be_a_document() -> None:
    with pytest.raises(ShoalError, match="printed no document"):
        program.parsed("limit", "Segmentation fault", "limit")


def test_a_core_that_may_not_be_used_is_refused() -> None:
    assert CliRunner().invoke(app, ["bench", "limit", "--core", "100000"]).exit_code == 2
