# SPDX-License-Identifier: BSD-3-Clause
"""The live table: what happens now, in one glance."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shoal.demo.observer import Observed
from shoal.report.timeline import TrafficRow

BAR_CELLS = 16


def show(observed: Observed, doing: str) -> RenderableType:
    """A picture of this moment."""
    return Group(Text(doing, style="bold"), _traffic(observed), _instances(observed), _events(observed))


def _traffic(observed: Observed) -> RenderableType:
    traffic = observed.traffic
    if traffic is None or not traffic.rows:
        return Text("no packets yet")
    row = traffic.rows[-1]
    wrong = traffic.lost + traffic.order_violations + traffic.mapping_violations
    table = Table(box=None, pad_edge=False)
    headings = ("packets/s sent", "received", "p50 µs", "p99 µs", "max µs", "flows", "missing, wrong")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row(*_cells(row), Text(f"{wrong:,}", style="red" if wrong else "green"))
    return table


def _cells(row: TrafficRow) -> tuple[str, ...]:
    rates = (row.sent_pps, row.received_pps, row.p50_us, row.p99_us, row.max_us)
    return (*(f"{value:,.0f}" for value in rates), f"{row.flows:,}")


def _instances(observed: Observed) -> RenderableType:
    if observed.status is None:
        return Text("")
    table = Table(box=None, pad_edge=False)
    for heading in ("instance", "state", "steering slots", "objects", "packets", "moved", "remote"):
        table.add_column(heading, justify="left" if heading in ("instance", "state") else "right", no_wrap=True)
    figures = {(each.name, each.pid): each for each in observed.ledger.instances}
    for instance in observed.status.instances:
        known = figures.get((instance.name, instance.process))
        numbers = (known.packets, known.leases_moved, known.remote_accesses) if known else (0, 0, 0)
        bar = "█" * round(BAR_CELLS * instance.steering_slots / 256)
        table.add_row(
            instance.name,
            instance.state.value,
            f"{bar} {instance.steering_slots}",
            f"{instance.objects:,}",
            *(f"{number:,}" for number in numbers),
        )
    return table


def _events(observed: Observed) -> RenderableType:
    parts = [f"{event.kind} at {event.start_s:.1f} s" for event in observed.timeline.events]
    return Text(
        f"objects moved {observed.ledger.objects_moved:,}, parked {observed.ledger.parked:,}; " + ", ".join(parts)
    )
