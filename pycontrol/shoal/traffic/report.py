# SPDX-License-Identifier: BSD-3-Clause
"""The result document: TRex's get_stats() in shape and names, and one object of ours. Its JSON has exactly the fields
of these classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from shoal.traffic.latency import mean_ns, quantile_ns, used_buckets
from shoal.traffic.observation import Observation
from shoal.traffic.options import OfferedRate, TrafficOptions
from shoal.traffic.streams import CompiledTraffic
from shoal.traffic.trex_shape import FlowStatistics, PortFigures, port_figures, trex_flow_stats, trex_latency
from shoal_dataplane.traffic import Counters, Latency, StreamCounters, TrafficRow

NS_PER_S = 1e9
NS_PER_US = 1e3


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for."""

    name: str
    backend: str
    traffic: CompiledTraffic
    options: TrafficOptions
    offered: tuple[OfferedRate, ...]  # of each port, at multiplier 1
    multiplier: float


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Microseconds, after the warm-up. `buckets`: upper bound and count of each that is not empty; counts only grow
    during a run, so the difference of two documents is the histogram of what lies between."""

    count: int
    mean: float
    min: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float
    buckets: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class DirectionFigures:
    """One direction of one stream. `lost`: stamped, and not (yet) come back."""

    sent: int
    received: int
    lost: int
    reordered: int
    duplicated: int
    corrupted: int


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One stream: there, and back (answers)."""

    name: str
    port: int
    number: int
    there: DirectionFigures
    back: DirectionFigures


@dataclass(frozen=True, slots=True)
class LateFigures:
    """How late the generator ran. `slipped_ms`: by how much its schedule was shifted, in `slips` delays longer than
    what it makes good."""

    mean_us: float
    max_us: float
    slipped_ms: float
    slips: int
    pool_empty: int


@dataclass(frozen=True, slots=True)
class FlowFigures:
    """`refused`: packets without a stamp because there was no room for their flow."""

    started: int
    ended: int
    live: int
    refused: int


@dataclass(frozen=True, slots=True)
class MappingFigures:
    """Packets whose public address and port were compared, and those where they were wrong."""

    checked: int
    violations: int
    changed: int
    shared: int
    misled: int


@dataclass(frozen=True, slots=True)
class RowFigures:
    """A row of the time series; rates in packets a second, times since the start."""

    end_s: float
    length_s: float
    sent: int
    received: int
    reordered: int
    duplicated: int
    corrupted: int
    mapping_violations: int
    flows_live: int
    flows_started: int
    slipped_ms: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float


@dataclass(frozen=True, slots=True)
class ShoalFigures:
    """What TRex does not count, or counts otherwise. Packets of all ports, answers included."""

    backend: str
    profile: str
    tunables: tuple[str, ...]
    running: bool
    elapsed_s: float
    warm_up_s: float
    requested_pps: float
    sent_pps: float
    sent: int
    received: int
    lost: int
    reordered: int
    duplicated: int
    corrupted: int
    unstamped_sent: int
    unstamped_arrived: int
    unknown_flow: int
    latency_us: LatencyFigures
    late: LateFigures
    flows: FlowFigures
    mappings: MappingFigures
    responses_sent: int
    responses_dropped: int
    rows_lost: int
    streams: tuple[StreamFigures, ...]
    rows: tuple[RowFigures, ...]


@dataclass(frozen=True, slots=True)
class TrafficDocument:
    """`ports` stand at the top under their numbers in the JSON, as TRex has them."""

    ports: Mapping[int, PortFigures]
    total: PortFigures
    flow_stats: Mapping[str, FlowStatistics]
    latency: Mapping[str, object]
    shoal: ShoalFigures

    def to_json(self) -> str:
        document: dict[str, object] = {str(number): asdict(port) for number, port in self.ports.items()}
        document |= {"total": asdict(self.total), "global": _global(self.total)}
        document |= {"flow_stats": {name: asdict(group) for name, group in self.flow_stats.items()}}
        document |= {"latency": dict(self.latency), "shoal": asdict(self.shoal)}
        return json.dumps(document)

    def faults(self) -> list[str]:
        """Why the run was not good, as sentences; empty where it was. Read it when the run is settled."""
        shoal = self.shoal
        found = [] if shoal.received else ["nothing arrived"]
        counts = {
            "were lost": shoal.lost,
            "left behind a later one of their flow": shoal.reordered,
            "came twice": shoal.duplicated,
            "came changed": shoal.corrupted,
            "showed a wrong public address or port": shoal.mappings.violations,
            "came of flows that had ended": shoal.unknown_flow,
            "came that nobody had sent": max(0, shoal.unstamped_arrived - shoal.unstamped_sent),
        }
        return found + [f"{count} packets {what}" for what, count in counts.items() if count]


def _global(total: PortFigures) -> dict[str, float]:
    rates = {name: getattr(total, name) for name in ("tx_pps", "rx_pps", "tx_bps", "rx_bps")}
    return rates | {"rx_drop_bps": 0.0, "queue_full": 0.0}


def latency_figures(latency: Latency) -> LatencyFigures:
    """In microseconds."""
    p50, p90, p99, p999 = (quantile_ns(latency, share) / NS_PER_US for share in (0.5, 0.9, 0.99, 0.999))
    return LatencyFigures(
        count=latency.count,
        mean=mean_ns(latency) / NS_PER_US,
        min=latency.min_ns / NS_PER_US,
        p50=p50,
        p90=p90,
        p99=p99,
        p999=p999,
        max=latency.max_ns / NS_PER_US,
        buckets=tuple((bound / NS_PER_US, count) for bound, count in used_buckets(latency)),
    )


def _direction(counters: Counters) -> DirectionFigures:
    return DirectionFigures(
        sent=counters.sent_packets,
        received=counters.received_packets,
        lost=counters.lost,
        reordered=counters.reordered,
        duplicated=counters.duplicated,
        corrupted=counters.corrupted,
    )


def _stream(stream: StreamCounters) -> StreamFigures:
    return StreamFigures(stream.name, stream.nf_port, stream.number, _direction(stream.there), _direction(stream.back))


def _row(row: TrafficRow) -> RowFigures:
    return RowFigures(
        end_s=row.end_ns / NS_PER_S,
        length_s=row.length_ns / NS_PER_S,
        sent=row.sent_packets,
        received=row.received_packets,
        reordered=row.reordered,
        duplicated=row.duplicated,
        corrupted=row.corrupted,
        mapping_violations=row.mapping_violations,
        flows_live=row.flows_live,
        flows_started=row.flows_started,
        slipped_ms=row.slipped_ns / 1e6,
        p50_us=row.p50_ns / NS_PER_US,
        p99_us=row.p99_ns / NS_PER_US,
        p999_us=row.p999_ns / NS_PER_US,
        max_us=row.max_ns / NS_PER_US,
    )


def requested_pps(run: Run) -> float:
    """Of all streams that are no latency streams, as if they sent at once."""
    return sum(rate.pps for rate in run.offered) * run.multiplier


def _lost(streams: Sequence[StreamCounters]) -> int:
    return sum(stream.there.lost + stream.back.lost for stream in streams)


def make_document(run: Run, seen: Observation) -> TrafficDocument:
    totals = seen.totals
    elapsed_s = totals.elapsed_ns / NS_PER_S
    sent, arrived = sum(totals.sent_packets), sum(totals.arrived_packets)
    ports = {number: port_figures(totals, (number,), elapsed_s) for number in _ports(run, seen)}
    return TrafficDocument(
        ports=ports,
        total=port_figures(totals, tuple(ports), elapsed_s),
        flow_stats=trex_flow_stats(seen.groups, tuple(ports)),
        latency=trex_latency(seen.groups),
        shoal=ShoalFigures(
            backend=run.backend,
            profile=run.traffic.profile,
            tunables=run.traffic.tunables,
            running=bool(totals.running),
            elapsed_s=elapsed_s,
            warm_up_s=run.options.warm_up,
            requested_pps=requested_pps(run),
            sent_pps=sent / elapsed_s if elapsed_s else 0.0,
            sent=sent,
            received=arrived,
            lost=_lost(seen.streams),
            reordered=totals.reordered,
            duplicated=totals.duplicated,
            corrupted=totals.corrupted,
            unstamped_sent=totals.unstamped_sent,
            unstamped_arrived=totals.unstamped_arrived,
            unknown_flow=totals.unknown_flow,
            latency_us=latency_figures(seen.latency),
            late=LateFigures(
                mean_us=totals.late_sum_ns / max(sent - totals.responses_sent, 1) / NS_PER_US,
                max_us=totals.late_max_ns / NS_PER_US,
                slipped_ms=totals.slipped_ns / 1e6,
                slips=totals.slips,
                pool_empty=totals.pool_empty,
            ),
            flows=FlowFigures(totals.flows_started, totals.flows_ended, totals.flows_live, totals.flows_refused),
            mappings=MappingFigures(
                totals.mappings_checked,
                totals.mapping_violations,
                totals.mapping_changed,
                totals.mapping_shared,
                totals.mapping_misled,
            ),
            responses_sent=totals.responses_sent,
            responses_dropped=totals.responses_dropped,
            rows_lost=totals.rows_lost,
            streams=tuple(_stream(stream) for stream in seen.streams),
            rows=tuple(_row(row) for row in seen.rows),
        ),
    )


def _ports(run: Run, seen: Observation) -> list[int]:
    """Those of the profile, and those at which something arrived or left."""
    used = {port.nf_port for port in run.traffic.ports}
    both = zip(seen.totals.sent_packets, seen.totals.arrived_packets, strict=True)
    return sorted(used | {number for number, counts in enumerate(both) if any(counts)})
