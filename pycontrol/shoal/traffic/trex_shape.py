# SPDX-License-Identifier: BSD-3-Clause
"""Ports, flow statistics and latency under the names that TRex's get_stats() gives them. Bytes count the FCS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from shoal_dataplane.stream import GroupKind
from shoal_dataplane.traffic import PacketGroup, Totals

NS_PER_US: Final = 1e3
GAP_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class PortFigures:
    """Rates are means over the elapsed time."""

    opackets: int
    ipackets: int
    obytes: int
    ibytes: int
    oerrors: int
    ierrors: int
    tx_pps: float
    rx_pps: float
    tx_bps: float
    rx_bps: float
    tx_bps_L1: float  # noqa: N815 (TRex's name)
    rx_bps_L1: float  # noqa: N815


@dataclass(frozen=True, slots=True)
class FlowStatistics:
    """Of one pg_id, for each port by its number, and "total"."""

    tx_pkts: dict[str, int] = field(default_factory=dict)
    rx_pkts: dict[str, int] = field(default_factory=dict)
    tx_bytes: dict[str, int] = field(default_factory=dict)
    rx_bytes: dict[str, int] = field(default_factory=dict)


def port_figures(totals: Totals, ports: Sequence[int], elapsed_s: float) -> PortFigures:
    """Of one port, or of several together."""

    def rate(count: float) -> float:
        return count / elapsed_s if elapsed_s else 0.0

    opackets, ipackets = (sum(each[port] for port in ports) for each in (totals.sent_packets, totals.arrived_packets))
    obytes, ibytes = (sum(each[port] for port in ports) for each in (totals.sent_bytes, totals.arrived_bytes))
    return PortFigures(
        opackets=opackets,
        ipackets=ipackets,
        obytes=obytes,
        ibytes=ibytes,
        oerrors=0,
        ierrors=0,
        tx_pps=rate(opackets),
        rx_pps=rate(ipackets),
        tx_bps=rate(obytes * 8),
        rx_bps=rate(ibytes * 8),
        tx_bps_L1=rate((obytes + opackets * GAP_BYTES) * 8),
        rx_bps_L1=rate((ibytes + ipackets * GAP_BYTES) * 8),
    )


def _by_port(counts: Sequence[int], ports: Sequence[int]) -> dict[str, int]:
    return {str(port): counts[port] for port in ports} | {"total": sum(counts[port] for port in ports)}


def trex_flow_stats(groups: Sequence[PacketGroup], ports: Sequence[int]) -> dict[str, FlowStatistics]:
    """Under the pg_id. Latency groups have an entry here too."""
    return {
        str(group.group): FlowStatistics(
            tx_pkts=_by_port(group.sent_packets, ports),
            rx_pkts=_by_port(group.received_packets, ports),
            tx_bytes=_by_port(group.sent_bytes, ports),
            rx_bytes=_by_port(group.received_bytes, ports),
        )
        for group in groups
    }


def decade_names() -> list[int]:
    """Lower bounds in microseconds: 0, 10, 20 … 90, 100 … 900, … 100000 … 900000."""
    return [0, *(digit * 10**power for power in range(1, 6) for digit in range(1, 10))]


def _latency(group: PacketGroup) -> dict[str, object]:
    histogram = {str(bound): count for bound, count in zip(decade_names(), group.decades, strict=True) if count}
    return {
        "latency": {
            "jitter": group.jitter_us,
            "average": group.average_us,
            "total_max": group.latency.max_ns / NS_PER_US,
            "total_min": group.latency.min_ns / NS_PER_US,
            "last_max": group.last_max_ns / NS_PER_US,
            "histogram": histogram,
        },
        "err_cntrs": {
            "dropped": group.dropped,
            "out_of_order": group.out_of_order,
            "dup": group.duplicated,
            "seq_too_high": group.sequence_too_high,
            "seq_too_low": group.sequence_too_low,
        },
    }


def trex_latency(groups: Sequence[PacketGroup]) -> dict[str, object]:
    """Under the pg_id."""
    return {str(group.group): _latency(group) for group in groups if group.kind is GroupKind.LATENCY}
