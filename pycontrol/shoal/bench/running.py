# SPDX-License-Identifier: BSD-3-Clause
"""Runs benchmarks several times, and puts together what they said: of those that failed, and where it was interrupted,
as much as there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.bench import machine
from shoal.bench.catalogue import Benchmark
from shoal.bench.document import Document, Failure, Row, aggregated
from shoal.bench.program import Outcome, Settings
from shoal.errors import ShoalError

Progress = Callable[[Benchmark, int, int], None]
"""Told before each run: the benchmark, the run's number from 0, how many there will be."""
Told = Callable[[Benchmark, str], None]
"""Told of a benchmark that failed, and why; the others go on."""


@dataclass(slots=True)
class _Measured:
    """What one benchmark has said so far."""

    benchmark: Benchmark
    runs: int
    outcomes: list[Outcome] = field(default_factory=list)
    begun: bool = False
    reason: str = ""
    """Why it failed."""

    def measure(self, settings: Settings, progress: Progress, failed: Told) -> None:
        for number in range(self.runs):
            self.begun = True
            progress(self.benchmark, number, self.runs)
            try:
                self.outcomes.append(self.benchmark.run(settings))
            except ShoalError as error:
                self.reason = f"run {number + 1} of {self.runs}: {error}"
                failed(self.benchmark, self.reason)
                return

    def failure(self, *, interrupted: bool) -> Failure | None:
        reason = self.reason
        if not reason and len(self.outcomes) < self.runs and interrupted:
            reason = f"interrupted in run {len(self.outcomes) + 1} of {self.runs}" if self.begun else "not begun"
        return Failure(self.benchmark.name, reason) if reason else None


def run(benchmarks: Sequence[Benchmark], settings: Settings, progress: Progress, failed: Told) -> Document:
    """All runs of all benchmarks; rows of one benchmark lie together. One that fails is not run again, and keeps what
    it said before; so do all where the user interrupts."""
    described = machine.describe()
    measured = [_Measured(benchmark, _runs(benchmark, settings)) for benchmark in benchmarks]
    interrupted = False
    try:
        for each in measured:
            each.measure(settings, progress, failed)
    except KeyboardInterrupt:
        interrupted = True
    return _document(measured, described, settings, interrupted=interrupted)


def _runs(benchmark: Benchmark, settings: Settings) -> int:
    if settings.quick:
        return 1
    return min(settings.runs, benchmark.runs) if benchmark.runs < 7 else settings.runs


def _document(
    measured: Sequence[_Measured], described: dict[str, Any], settings: Settings, *, interrupted: bool
) -> Document:
    rows: list[Row] = []
    series: list[dict[str, Any]] = []
    for each in measured:
        rows += aggregated([outcome.rows for outcome in each.outcomes])
        if each.outcomes:
            series += [{"benchmark": each.benchmark.name, **one} for one in each.outcomes[-1].series]
    described |= _of_programs(measured)
    described["load_average_after"] = machine.load()
    described["quick"] = settings.quick
    failures = (each.failure(interrupted=interrupted) for each in measured)
    return Document(
        described, tuple(rows), tuple(series), tuple(each for each in failures if each is not None), interrupted
    )


def _of_programs(measured: Sequence[_Measured]) -> dict[str, Any]:
    """What they say of the machine. Where there were too few hugepages for some of them, which ones."""
    described: dict[str, Any] = {}
    of_pages: dict[str, list[str]] = {}
    for each in measured:
        for outcome in each.outcomes:
            described |= outcome.machine
            names = of_pages.setdefault(str(outcome.machine.get("memory_pages", "")), [])
            if each.benchmark.name not in names:
                names.append(each.benchmark.name)
    of_pages.pop("", None)
    if len(of_pages) > 1:
        described["memory_pages"] = "; ".join(f"{pages}: {' '.join(names)}" for pages, names in of_pages.items())
    return described
