# SPDX-License-Identifier: BSD-3-Clause
"""The seam below the report: what a backend has to be able to do, and what it has seen at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shoal.traffic.options import TrafficOptions
from shoal.traffic.streams import CompiledTraffic
from shoal_dataplane.traffic import Latency, PacketGroup, StreamCounters, Totals, TrafficRow


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a backend counts. Rows only grow."""

    totals: Totals
    streams: tuple[StreamCounters, ...]
    groups: tuple[PacketGroup, ...]
    latency: Latency
    rows: tuple[TrafficRow, ...]


class Backend(Protocol):
    """Sends compiled streams and checks what comes back. Calls belong to one thread and block only briefly."""

    name: str

    def start(self, traffic: CompiledTraffic, options: TrafficOptions) -> None:
        """Everything begins anew."""

    def stop(self) -> None:
        """Sends nothing more; arrivals still count."""

    def observe(self) -> Observation: ...
