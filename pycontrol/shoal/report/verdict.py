# SPDX-License-Identifier: BSD-3-Clause
"""The document for people: tables of phases, events and instances, and the verdict."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shoal.report.document import Document


def show(document: Document) -> RenderableType:
    """What stands on the terminal when the run is over."""
    return Group(_phases(document), _events(document), _instances(document), _balance(document), verdict(document))


def verdict(document: Document) -> Text:
    """One line for a good run, one for each fault of another."""
    faults = document.faults()
    if faults:
        return Text("\n".join(f"BAD: {fault}" for fault in faults), style="bold red")
    return Text(
        f"GOOD: {document.balance.received} packets through {len(document.events)} scaling events: "
        "0 lost, 0 out of order, 0 mapped wrongly",
        style="bold green",
    )


def _phases(document: Document) -> Table:
    table = Table(title="phases", title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("phase", "offered/s", "achieved/s", "p50 µs", "p99 µs", "p99.9 µs", "max µs"):
        table.add_column(heading, justify="left" if heading == "phase" else "right", no_wrap=True)
    for phase in document.phases:
        latency = phase.latency_us
        table.add_row(
            phase.name,
            f"{phase.offered_pps:,.0f}",
            f"{phase.achieved_pps:,.0f}",
            *(f"{value:,.0f}" for value in (latency.p50, latency.p99, latency.p999, latency.max)),
        )
    return table


def _events(document: Document) -> Table:
    table = Table(title="events", title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("event", "ms", "slots moved", "objects moved", "most parked"):
        table.add_column(heading, justify="left" if heading == "event" else "right")
    for event in document.events:
        figures = (event.slots_moved, event.objects_moved, event.max_parked)
        table.add_row(event.kind, f"{event.duration_ms:,.1f}", *(f"{figure:,}" for figure in figures))
    return table


def _instances(document: Document) -> Table:
    table = Table(title="instances", title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("instance", "pid", "packets", "messages", "leases moved", "remote accesses"):
        table.add_column(heading, justify="left" if heading == "instance" else "right")
    for instance in document.instances:
        figures = (instance.packets, instance.messages, instance.leases_moved, instance.remote_accesses)
        table.add_row(instance.name, str(instance.pid), *(f"{figure:,}" for figure in figures))
    return table


def _balance(document: Document) -> Text:
    balance = document.balance
    drops = ", ".join(f"{number:,} {reason}" for reason, number in sorted(balance.drops.items()) if number) or "none"
    return Text(f"sent {balance.sent:,}, received {balance.received:,}, dropped: {drops}")
