# SPDX-License-Identifier: BSD-3-Clause
"""The demo's traffic: which profile, compiled how, and what the generator's document says of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shoal.demo.settings import DemoSettings
from shoal.errors import NotFoundError, ShoalError
from shoal.report.document import Latency
from shoal.report.timeline import TrafficRow
from shoal.traffic import compile as compiler

PROFILE: Final = "nat_churn.py"
PACKETS_OF_NEW_FLOWS: Final = 3
RESPOND_EVERY: Final = 10
FLOW_IDLE_S: Final = 20


@dataclass(frozen=True)
class Profile:
    """Compiled streams, at the rate of the settings."""

    name: str
    streams: bytes
    packets_per_second: float

    def options(self, rate: float) -> dict[str, str]:
        """Of a run at that rate."""
        return {
            "multiplier": f"{rate / self.packets_per_second:.6f}",
            "respond_every": str(RESPOND_EVERY),
            "flow_idle": str(FLOW_IDLE_S),
            "check_mappings": "true",
        }


def find_profile(name: str) -> Path:
    """A profile of trex_profiles, beside the environment that this runs in or in the present folder."""
    for folder in (Path(sys.prefix).parent, Path.cwd()):
        if (path := folder / "trex_profiles" / name).is_file():
            return path
    raise NotFoundError(f"trex_profiles/{name} is neither beside {sys.prefix} nor in the present folder")


async def compile_profile(settings: DemoSettings) -> Profile:
    """ShoalError where TRex's client is not there, or does not like the profile."""
    new = settings.new_flows_per_second
    staying = settings.packets_per_second - new * PACKETS_OF_NEW_FLOWS
    if staying < settings.flows:
        raise ShoalError("the rate must leave each flow that stays a packet a second beside the packets of new flows")
    wanted = {"flows": settings.flows, "pps": staying, "new-flows": new, "packets": PACKETS_OF_NEW_FLOWS}
    tunables = [text for name, value in wanted.items() for text in (f"--{name}", str(value))]
    try:
        streams = await compiler.compile_profile(find_profile(PROFILE), tunables=tunables)
    except compiler.CompileError as error:
        raise ShoalError(str(error)) from error
    return Profile(PROFILE, streams, settings.packets_per_second)


@dataclass(frozen=True)
class LatencyCounts:
    """A histogram: how many packets took at most so many microseconds and more than the next lower bound."""

    counts: Mapping[float, int]

    def since(self, earlier: LatencyCounts) -> LatencyCounts:
        """Of what arrived between two readings of one run."""
        left = {bound: count - earlier.counts.get(bound, 0) for bound, count in self.counts.items()}
        return LatencyCounts({bound: count for bound, count in left.items() if count > 0})

    def quantile(self, share: float) -> float:
        """The bound that this share of the packets does not pass; 0 where there are none."""
        wanted = share * sum(self.counts.values())
        seen = 0
        for bound in sorted(self.counts):
            seen += self.counts[bound]
            if seen >= wanted:
                return bound
        return 0.0

    def percentiles(self) -> Latency:
        shares = (self.quantile(share) for share in (0.5, 0.99, 0.999))
        p50, p99, p999 = (round(value, 3) for value in shares)
        return Latency(p50, p99, p999, round(max(self.counts, default=0.0), 3))


@dataclass(frozen=True)
class TrafficState:
    """The generator's books at one moment."""

    elapsed_s: float
    sent: int
    received: int
    lost: int
    """Sent, and not come back so far; final once the run has settled."""
    slipped_s: float
    """By how much the generator's schedule was shifted, because it was too late to catch up."""
    order_violations: int
    mapping_violations: int
    latency: LatencyCounts
    rows: tuple[TrafficRow, ...]

    @classmethod
    def parse(cls, text: str) -> TrafficState:
        """From the result document."""
        shoal: dict[str, Any] = json.loads(text)["shoal"]
        return cls(
            elapsed_s=shoal["elapsed_s"],
            sent=shoal["sent"],
            received=shoal["received"],
            lost=shoal["lost"],
            slipped_s=shoal["late"]["slipped_ms"] / 1000,
            order_violations=shoal["reordered"] + shoal["duplicated"],
            mapping_violations=shoal["mappings"]["violations"] + shoal["corrupted"] + shoal["unknown_flow"],
            latency=LatencyCounts(dict(shoal["latency_us"]["buckets"])),
            rows=tuple(_row(row) for row in shoal["rows"]),
        )


def _row(row: dict[str, Any]) -> TrafficRow:
    return TrafficRow(
        end_s=row["end_s"],
        length_s=row["length_s"],
        sent=row["sent"],
        received=row["received"],
        p50_us=row["p50_us"],
        p99_us=row["p99_us"],
        p999_us=row["p999_us"],
        max_us=row["max_us"],
        flows=row["flows_live"],
    )
