# SPDX-License-Identifier: BSD-3-Clause
"""Runs benchmarks several times, and puts together what they said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shoal.bench import machine
from shoal.bench.catalogue import Benchmark
from shoal.bench.document import Document, Row, aggregated
from shoal.bench.program import Outcome, Settings

Progress = Callable[[Benchmark, int, int], None]
"""Told before each run: the benchmark, the run's number from 0, how many there will be."""


def run(benchmarks: Sequence[Benchmark], settings: Settings, progress: Progress) -> Document:
    """All runs of all benchmarks; rows of one benchmark lie together."""
    described = machine.describe()
    rows: list[Row] = []
    series: list[dict[str, Any]] = []
    for benchmark in benchmarks:
        outcomes: list[Outcome] = []
        runs = 1 if settings.quick else min(settings.runs, benchmark.runs) if benchmark.runs < 7 else settings.runs
        for number in range(runs):
            progress(benchmark, number, runs)
            outcomes.append(benchmark.run(settings))
            described |= outcomes[-1].machine
        rows += aggregated([outcome.rows for outcome in outcomes])
        series += [{"benchmark": benchmark.name, **one} for one in outcomes[-1].series]
    described["load_average_after"] = machine.load()
    described["quick"] = settings.quick
    return Document(described, tuple(rows), tuple(series))
