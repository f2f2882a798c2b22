# SPDX-License-Identifier: BSD-3-Clause
"""All benchmarks by name: what each asks, and what runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shoal.bench import program
from shoal.bench.program import Outcome, Settings
from shoal.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Benchmark:
    name: str
    question: str
    run: Callable[[Settings], Outcome]
    """One run."""
    runs: int = 7


def _program(name: str, question: str, deadline_s: float = 120.0, runs: int = 7) -> Benchmark:
    return Benchmark(name, question, lambda settings: program.run(name, settings, deadline_s), runs)


BENCHMARKS: tuple[Benchmark, ...] = (
    _program("limit", "what a packet costs at least: generator, parser, hash, table, ideal NAT"),
    _program("fastpath", "the NAT on one worker, against the ideal; traffic varied one factor at a time"),
    _program("planes", "the NAT on local, shared and remote; beside them a bare Redis client and an ideal store"),
    _program("microthread", "a packet that suspends, and one that does not; beside Boost.Context's fibers"),
    _program("channel", "messages between two cores: round trip and rate of each transport"),
    _program("migration", "objects moved by access, by sweep and by leave, beside memcpy"),
    _program("scale_event", "one instance to two and back under load: loss, latency, time"),
    _program("parse", "the parser alone, by kind of frame"),
    _program("splitter", "the splitter alone, by packet size and number of instances"),
    _program("generator", "the generator alone, with and without stamps"),
    _program("scaling", "what instances on cores of their own carry; 4, 8, 16 sharing one; a model of more"),
)
ALL = "all"


def chosen(names: Sequence[str]) -> Sequence[Benchmark]:
    """The benchmarks of these names, in their own order. InvalidRequestError: there is no such."""
    known = {benchmark.name for benchmark in BENCHMARKS} | {ALL}
    if unknown := [name for name in names if name not in known]:
        there_are = " ".join(benchmark.name for benchmark in BENCHMARKS)
        raise InvalidRequestError(f"no such benchmark: {' '.join(unknown)}; there are: {there_are} (or {ALL})")
    return [benchmark for benchmark in BENCHMARKS if benchmark.name in names or ALL in names]
