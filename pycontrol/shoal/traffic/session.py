# SPDX-License-Identifier: BSD-3-Clause
"""One run of traffic after another on a backend, as the splitter's servant offers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shoal.traffic.observation import Backend
from shoal.traffic.options import TrafficOptions, multiplier_of, offered_rates, parse_options
from shoal.traffic.report import Run, TrafficDocument, make_document
from shoal.traffic.streams import CompiledTraffic, parse_streams

SETTLE_S: Final = 2.0  # after the stop, for what is still under way


class NotStartedError(RuntimeError):
    """There was no run yet."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of a run. `settled`: it has stopped, and nothing is missing."""

    name: str
    running: bool
    settled: bool
    document: TrafficDocument


class TrafficSession:
    """Calls belong to one thread. After a stop wait until the run is settled, at most SETTLE_S, and read it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._run: Run | None = None
        self._stopped = False

    def start(self, name: str, streams: bytes, options: Mapping[str, str]) -> None:
        """StreamsError, OptionError, or the backend's own: nothing runs then, or what ran goes on."""
        traffic = parse_streams(streams)
        self.start_parsed(name, traffic, parse_options(options))

    def start_parsed(self, name: str, traffic: CompiledTraffic, options: TrafficOptions) -> None:
        run = Run(
            name,
            self._backend.name,
            traffic,
            options,
            offered_rates(traffic),
            multiplier_of(options.multiplier, traffic),
        )
        self._backend.start(traffic, options)
        self._run, self._stopped = run, False

    def stop(self) -> None:
        """Idempotent."""
        if self._run is not None:
            self._backend.stop()
            self._stopped = True

    def read(self) -> Reading:
        if self._run is None:
            raise NotStartedError("no traffic was started yet")
        document = make_document(self._run, self._backend.observe())
        running = document.shoal.running
        return Reading(self._run.name, running, self._stopped and document.shoal.lost == 0, document)
