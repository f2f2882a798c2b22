# SPDX-License-Identifier: BSD-3-Clause
"""What a generator has counted."""

from dataclasses import dataclass
from typing import Any, Self

from shoal_dataplane.door import text
from shoal_dataplane.stream import GroupKind


@dataclass(frozen=True, slots=True)
class Counters:
    """One direction of one stream."""

    sent_packets: int
    sent_bytes: int
    stamped_packets: int
    received_packets: int
    received_bytes: int
    reordered: int
    duplicated: int
    corrupted: int

    @classmethod
    def from_native(cls, structure: Any) -> Self:
        return cls(*(getattr(structure, name) for name in cls.__slots__))

    @property
    def lost(self) -> int:
        """Stamped packets that have not come (yet)."""
        return self.stamped_packets - self.received_packets


@dataclass(frozen=True, slots=True)
class StreamCounters:
    name: str
    number: int
    nf_port: int
    group_kind: GroupKind
    group: int
    there: Counters
    back: Counters

    @classmethod
    def from_native(cls, structure: Any) -> Self:
        return cls(
            text(structure.name),
            structure.number,
            structure.nf_port,
            GroupKind(structure.group_kind),
            structure.group,
            Counters.from_native(structure.there),
            Counters.from_native(structure.back),
        )


def _plain(value: Any) -> Any:
    """A C array of numbers as a tuple."""
    return value if isinstance(value, int | float) else tuple(value)


@dataclass(frozen=True, slots=True)
class Totals:
    """As struct shoal_generator_totals. The sequences are by NF port."""

    running: int
    elapsed_ns: int
    sent_packets: tuple[int, ...]
    sent_bytes: tuple[int, ...]
    arrived_packets: tuple[int, ...]
    arrived_bytes: tuple[int, ...]
    flows_started: int
    flows_ended: int
    flows_live: int
    missing: int
    flows_refused: int
    unstamped_sent: int
    unstamped_arrived: int
    unknown_flow: int
    reordered: int
    duplicated: int
    corrupted: int
    mappings_checked: int
    mapping_changed: int
    mapping_shared: int
    mapping_misled: int
    responses_sent: int
    responses_dropped: int
    late_max_ns: int
    late_sum_ns: int
    slipped_ns: int
    slips: int
    pool_empty: int
    rows_lost: int

    @classmethod
    def from_native(cls, structure: Any) -> Self:
        return cls(*(_plain(getattr(structure, name)) for name in cls.__slots__))

    @property
    def mapping_violations(self) -> int:
        return self.mapping_changed + self.mapping_shared + self.mapping_misled


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """One row of the time series."""

    end_ns: int
    length_ns: int
    sent_packets: int
    sent_bytes: int
    received_packets: int
    received_bytes: int
    reordered: int
    duplicated: int
    corrupted: int
    mapping_violations: int
    flows_live: int
    flows_started: int
    slipped_ns: int
    latency_count: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int

    @classmethod
    def from_native(cls, structure: Any) -> Self:
        return cls(*(getattr(structure, name) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class Latency:
    """A log-linear histogram; latency_bucket_ns gives a bucket's greatest value."""

    count: int
    sum_ns: int
    min_ns: int
    max_ns: int
    buckets: tuple[int, ...]

    @classmethod
    def from_native(cls, structure: Any) -> Self:
        return cls(*(_plain(getattr(structure, name)) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class PacketGroup:
    """Flow statistics of one pg_id, as TRex counts them."""

    kind: GroupKind
    group: int
    sent_packets: tuple[int, ...]
    sent_bytes: tuple[int, ...]
    received_packets: tuple[int, ...]
    received_bytes: tuple[int, ...]
    dropped: int
    out_of_order: int
    duplicated: int
    sequence_too_high: int
    sequence_too_low: int
    jitter_us: float
    average_us: float
    last_max_ns: int
    latency: Latency
    decades: tuple[int, ...]

    @classmethod
    def from_native(cls, structure: Any) -> Self:
        values = {name: getattr(structure, name) for name in cls.__slots__ if name not in ("kind", "latency")}
        return cls(
            kind=GroupKind(structure.kind),
            latency=Latency.from_native(structure.latency),
            **{name: _plain(value) for name, value in values.items()},
        )
