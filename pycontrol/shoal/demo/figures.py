# SPDX-License-Identifier: BSD-3-Clause
"""Figures of a run out of the statistics that instances and splitter report; they outlive the instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from shoal.model import ComponentStatistics, Statistic
from shoal.report.document import InstanceFigures
from shoal_dataplane import StatisticKind

SPLITTER = "splitter"
DROPS = ("drops_total", "splitter_drops_total")


def total(rows: Iterable[Statistic], *names: str) -> int:
    """Sum of all rows with one of the names, over their labels."""
    return sum(row.value for row in rows if row.name in names)


def since(component: ComponentStatistics, before: ComponentStatistics) -> ComponentStatistics:
    """Counters of a component without what they were before; gauges as they are."""
    counted = {(row.name, row.label_value): row.value for row in before.statistics if row.kind is StatisticKind.COUNTER}
    rows = tuple(
        replace(row, value=row.value - counted.get((row.name, row.label_value), 0)) for row in component.statistics
    )
    return replace(component, statistics=rows)


def drops(component: ComponentStatistics) -> dict[str, int]:
    """Named drops of one component, those that happened only. The name begins with the component's kind."""
    kind = SPLITTER if component.component == SPLITTER else "instance"
    found: Counter[str] = Counter()
    for row in component.statistics:
        if row.name in DROPS and row.value:
            found[f"{kind}.{row.label_value}"] += row.value
    return dict(found)


def objects_moved(component: ComponentStatistics) -> int:
    """Objects and key records that came to this instance from others."""
    return total(component.statistics, "leases_moved_in_total", "records_moved_in_total")


def instance_figures(component: ComponentStatistics) -> InstanceFigures:
    rows = component.statistics
    return InstanceFigures(
        name=component.component,
        pid=component.process,
        packets=total(rows, "packets_received_total"),
        messages=total(rows, "channel_messages_sent_total"),
        leases_moved=total(rows, "leases_moved_out_total"),
        remote_accesses=total(rows, "takes_remote_total", "calls_remote_total"),
    )


@dataclass
class Ledger:
    """What each component has counted since the ledger began: its last statistics, without what the first ones, of
    before, had counted already. Also of those that have ended since; a name may be used again by a later process."""

    before: Sequence[ComponentStatistics] = ()
    _last: dict[tuple[str, int], ComponentStatistics] = field(default_factory=dict)

    def enter(self, components: Sequence[ComponentStatistics]) -> None:
        before = {(each.component, each.process): each for each in self.before}
        for component in components:
            whose = component.component, component.process
            self._last[whose] = since(component, before[whose]) if whose in before else component

    @property
    def instances(self) -> tuple[InstanceFigures, ...]:
        return tuple(instance_figures(each) for each in self._last.values() if each.component != SPLITTER)

    @property
    def drops(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for component in self._last.values():
            found.update(drops(component))
        return dict(found)

    @property
    def objects_moved(self) -> int:
        return sum(objects_moved(component) for component in self._last.values())

    @property
    def parked(self) -> int:
        """Packets that wait at the splitter now."""
        return sum(total(each.statistics, "splitter_parked_packets") for each in self._last.values())
