# SPDX-License-Identifier: BSD-3-Clause
"""The run over time, as it was observed: rows of traffic, samples of the instances, spans of the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrafficRow:
    """What the generator saw in one row of its time series. Times in seconds since the traffic's start."""

    end_s: float
    length_s: float
    sent: int
    received: int
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    flows: int

    @property
    def sent_pps(self) -> float:
        return self.sent / self.length_s

    @property
    def received_pps(self) -> float:
        return self.received / self.length_s


@dataclass(frozen=True)
class ClusterSample:
    """What the controller said at one moment."""

    time_s: float
    instances: int
    objects_moved: int
    parked: int


@dataclass(frozen=True)
class Span:
    """An event, from its command to its end."""

    kind: str
    start_s: float
    end_s: float


@dataclass
class Timeline:
    """Grows while the run goes on."""

    traffic: list[TrafficRow] = field(default_factory=list)
    cluster: list[ClusterSample] = field(default_factory=list)
    events: list[Span] = field(default_factory=list)

    def between(self, start_s: float, end_s: float) -> Sequence[TrafficRow]:
        """The rows that lie wholly within."""
        return [row for row in self.traffic if row.end_s - row.length_s >= start_s and row.end_s <= end_s]
