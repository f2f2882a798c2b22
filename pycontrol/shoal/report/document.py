# SPDX-License-Identifier: BSD-3-Clause
"""The result of a run as a document. Its JSON has exactly the fields of these classes, under their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Latency:
    """Microseconds from sending to arrival."""

    p50: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True)
class Phase:
    """A stretch of the run with one number of instances, between two events."""

    name: str
    instances: int
    offered_pps: float
    achieved_pps: float
    latency_us: Latency


@dataclass(frozen=True)
class ScalingEvent:
    """One change of the number of instances."""

    kind: str
    duration_ms: float
    slots_moved: int
    objects_moved: int
    max_parked: int


@dataclass(frozen=True)
class InstanceFigures:
    """What one instance did during its life."""

    name: str
    pid: int
    packets: int
    messages: int
    leases_moved: int
    remote_accesses: int


@dataclass(frozen=True)
class Balance:
    """Where the packets went: sent = received + all drops."""

    sent: int
    received: int
    drops: Mapping[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Packets that nobody accounts for; negative: more came than were sent."""
        return self.sent - self.received - sum(self.drops.values())


@dataclass(frozen=True)
class Document:
    """A whole run."""

    loss_packets: int
    order_violations: int
    mapping_violations: int
    phases: tuple[Phase, ...]
    events: tuple[ScalingEvent, ...]
    instances: tuple[InstanceFigures, ...]
    balance: Balance

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    def faults(self) -> list[str]:
        """Why the run was not good, as sentences; empty where it was."""
        found = []
        if self.loss_packets:
            found.append(f"{self.loss_packets} packets were lost")
        if self.order_violations:
            found.append(f"{self.order_violations} packets left behind a later one of their flow")
        if self.mapping_violations:
            found.append(f"{self.mapping_violations} packets showed a wrong public address or port")
        if self.balance.missing:
            found.append(f"the books do not balance: {self.balance.missing} packets are neither received nor dropped")
        if not self.balance.received:
            found.append("no packet arrived")
        found += [f"{event.kind} moved no slot" for event in self.events if not event.slots_moved]
        found += [f"{event.kind} moved no object" for event in self.events if not event.objects_moved]
        return found
