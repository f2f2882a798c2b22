# SPDX-License-Identifier: BSD-3-Clause
"""What the built-in generator recorded of a run (`shoal traffic run --json`, or `show --json` when it has ended): by
stream and direction, how many packets were sent and came, and how many of them were out of order, doubled, changed, or
from a wrong public endpoint. It checks every packet as it comes, so that runs too long for captures can be judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.verify.capture import CaptureError
from shoal.verify.report import Fault, Report

COUNTED = {
    "lost": Fault.LOST,
    "reordered": Fault.REORDERED,
    "duplicated": Fault.DUPLICATED,
    "corrupted": Fault.CORRUPTED,
}
MAPPINGS = {
    "changed": Fault.MAPPING_CHANGED,
    "shared": Fault.ENDPOINT_SHARED,
    "misled": Fault.MISDELIVERED,
}
DIRECTIONS = ("there", "back")


@dataclass(frozen=True)
class Direction:
    """Packets of one stream in one direction. `of`: NF port, number and name of the stream, "there" or "back"."""

    of: tuple[int, int, str, str]
    sent: int
    received: int
    counts: dict[Fault, int]

    def __str__(self) -> str:
        port, number, name, direction = self.of
        return f"stream {number} ({name}) of port {port}, {direction}"


@dataclass(frozen=True)
class Record:
    """One run."""

    directions: tuple[Direction, ...]
    mappings: dict[Fault, int]
    mappings_checked: int
    sent: int
    unstamped_sent: int
    strangers: int
    """Packets that came and belong to no flow."""
    flows: int


def load_record(path: Path) -> Record:
    """CaptureError where the file is no record, or one that cannot be judged."""
    try:
        document = json.loads(path.read_text())["shoal"]
        record = _record(document)
        running = bool(document["running"])
    except (ValueError, KeyError, TypeError) as error:
        raise CaptureError(f"{path}: no JSON document of a traffic run ({error!r})") from error
    if running:
        raise CaptureError(f"{path}: the run had not ended; what was under way would count as lost")
    if not record.mappings_checked:
        raise CaptureError(f"{path}: the run did not look at mappings, or nothing came")
    return record


def _record(shoal: dict[str, Any]) -> Record:
    surplus = max(0, int(shoal["unstamped_arrived"]) - int(shoal["unstamped_sent"]))
    return Record(
        directions=tuple(_directions(shoal["streams"])),
        mappings={fault: int(shoal["mappings"][name]) for name, fault in MAPPINGS.items()},
        mappings_checked=int(shoal["mappings"]["checked"]),
        sent=int(shoal["sent"]),
        unstamped_sent=int(shoal["unstamped_sent"]),
        strangers=surplus + int(shoal["unknown_flow"]),
        flows=int(shoal["flows"]["started"]),
    )


def _directions(streams: list[dict[str, Any]]) -> Iterator[Direction]:
    for stream in streams:
        for direction in DIRECTIONS:
            figures = stream[direction]
            yield Direction(
                of=(int(stream["port"]), int(stream["number"]), str(stream["name"]), direction),
                sent=int(figures["sent"]),
                received=int(figures["received"]),
                counts={fault: int(figures[name]) for name, fault in COUNTED.items()},
            )


def judge_record(record: Record, loss_allowed: int = 0) -> Report:
    """One run by itself."""
    report = Report(loss_allowed=loss_allowed)
    report.checked = _checked(record)
    for direction in record.directions:
        for fault, number in direction.counts.items():
            report.add(fault, f"{direction}: {number} packets", number)
    for fault, number in record.mappings.items():
        report.add(fault, f"{number} packets of all streams", number)
    report.add(Fault.UNEXPECTED, f"{record.strangers} packets that belong to no flow", record.strangers)
    accounted = sum(direction.received + direction.counts[Fault.LOST] for direction in record.directions)
    missing = record.sent - record.unstamped_sent - accounted
    report.add(
        Fault.BOOKS, f"{record.sent} packets were sent; {missing} have neither come nor count as lost", abs(missing)
    )
    return report


def _checked(record: Record) -> dict[str, int]:
    return {
        "packets_sent": sum(direction.sent for direction in record.directions),
        "packets_received": sum(direction.received for direction in record.directions),
        "mappings_looked_at": record.mappings_checked,
        "flows": record.flows,
    }


def compare_records(one: Record, many: Record, loss_allowed: int = 0) -> Report:
    """Both runs by themselves, then stream by stream. Streams must have sent the same numbers of packets: give both
    runs the same profile, duration and seed, and let every packet be answered, or none."""
    report = Report(loss_allowed=loss_allowed)
    for name, record in (("one", one), ("many", many)):
        alone = judge_record(record)
        report.checked |= {f"{name}_{what}": number for what, number in alone.checked.items()}
        for finding in alone.findings:
            report.add(finding.fault, f"{name}: {finding.text}", finding.packets)
    pairs = {direction.of: direction for direction in one.directions}
    for direction in many.directions:
        _compare_direction(pairs.pop(direction.of, None), direction, report)
    for left in pairs.values():
        report.add(Fault.INPUTS_DIFFER, f"{left}: only one sent it")
    if one.flows != many.flows:
        report.add(Fault.INPUTS_DIFFER, f"one had {one.flows} flows, many {many.flows}")
    return report


def _compare_direction(one: Direction | None, many: Direction, report: Report) -> None:
    if one is None:
        report.add(Fault.INPUTS_DIFFER, f"{many}: only many sent it")
    elif one.sent != many.sent:
        report.add(Fault.INPUTS_DIFFER, f"{many}: one sent {one.sent} packets, many {many.sent}")
    elif one.received != many.received:
        report.add(
            Fault.OUTPUTS_DIFFER, f"{many}: {one.received} packets came through one, {many.received} through many"
        )
