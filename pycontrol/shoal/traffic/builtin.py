# SPDX-License-Identifier: BSD-3-Clause
"""The built-in generator as a backend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Final

from shoal.traffic.observation import Observation
from shoal.traffic.options import TrafficOptions, generator_run
from shoal.traffic.streams import CompiledTraffic
from shoal_dataplane.generator import Generator
from shoal_dataplane.traffic import TrafficRow

ROWS_MAX: Final = 3000
QUANTILES: Final = ("p50_ns", "p99_ns", "p999_ns", "max_ns")
STATES: Final = ("end_ns", "flows_live")
SUMS: Final = tuple(each.name for each in fields(TrafficRow) if each.name not in (*QUANTILES, *STATES))


def merge_rows(first: TrafficRow, second: TrafficRow) -> TrafficRow:
    """Two rows that follow one another as one. Quantiles of the whole can't be known: the greater ones stand for it."""
    changes = {name: getattr(first, name) + getattr(second, name) for name in SUMS}
    changes |= {name: max(getattr(first, name), getattr(second, name)) for name in QUANTILES}
    return replace(second, **changes)


def thin_out(rows: Iterable[TrafficRow], most: int = ROWS_MAX) -> list[TrafficRow]:
    """At most so many rows: where there are more, neighbours become one."""
    kept = list(rows)
    while len(kept) > most:
        pairs = [merge_rows(kept[at], kept[at + 1]) for at in range(0, len(kept) - 1, 2)]
        kept = pairs + kept[len(pairs) * 2 :]
    return kept


class BuiltinBackend:
    """Borrows the generator, whose ports a splitter has. All its port's streams of a profile must be attached there."""

    name = "builtin"

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._rows: list[TrafficRow] = []

    def start(self, traffic: CompiledTraffic, options: TrafficOptions) -> None:
        run = generator_run(options, traffic)
        for port in traffic.ports:
            for stream in port.streams:
                self._generator.add_stream(port.nf_port, stream)
        self._generator.start(run)
        self._rows = []

    def stop(self) -> None:
        self._generator.stop()

    def observe(self) -> Observation:
        self._rows = thin_out([*self._rows, *self._generator.drain()])
        return Observation(
            totals=self._generator.totals(),
            streams=self._generator.streams(),
            groups=self._generator.packet_groups(),
            latency=self._generator.latency(),
            rows=tuple(self._rows),
        )
