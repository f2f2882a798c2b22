# SPDX-License-Identifier: BSD-3-Clause
"""What has changed between two documents."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from shoal.bench.document import Document, Row

_SMALL = 0.03
"""Repeatability of a figure on a quiet machine."""
_LOWER_IS_BETTER = (
    "ns",
    "us",
    "ms",
    "s",
    "bytes",
    "packets",
    "messages",
    "bins",
    "ns/packet",
    "ns/object",
    "cycles/packet",
)


class Change(enum.Enum):
    SAME = "same"
    BETTER = "better"
    WORSE = "worse"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row, and what it was before."""

    now: Row
    before: Row | None
    change: Change

    @property
    def factor(self) -> float | None:
        """Of the ratios to the ideal where both have one: they depend least on how fast the machine just is."""
        if self.before is None:
            return None
        if self.now.ratio_to_ideal and self.before.ratio_to_ideal:
            return self.now.ratio_to_ideal / self.before.ratio_to_ideal
        return self.now.value / self.before.value if self.before.value else None


def compare(now: Document, before: Document) -> Sequence[Difference]:
    """Each row of `now` with its row in `before`."""
    old = {_key(row): row for row in before.rows}
    return [_difference(row, old.get(_key(row))) for row in now.rows]


def _difference(now: Row, before: Row | None) -> Difference:
    if before is None:
        return Difference(now, None, Change.NEW)
    factor = Difference(now, before, Change.SAME).factor
    if factor is None:
        change = Change.SAME if now.value == before.value else Change.WORSE
        return Difference(now, before, change)
    spread = max(_SMALL, _spread(now), _spread(before))
    if abs(factor - 1) <= spread:
        return Difference(now, before, Change.SAME)
    by_value = not (now.ratio_to_ideal and before.ratio_to_ideal)
    lower = by_value and now.unit in _LOWER_IS_BETTER
    return Difference(now, before, Change.BETTER if (factor < 1) == lower else Change.WORSE)


def _spread(row: Row) -> float:
    """Half of the distance of the quartiles, as a part of the median."""
    return (row.q3 - row.q1) / 2 / abs(row.value) if row.value else 0.0


def _key(row: Row) -> tuple[object, ...]:
    return (*sorted(row.parameters), row.unit)


def missing(now: Document, before: Document, chosen: Sequence[str]) -> list[str]:
    """What of the chosen benchmarks can't be compared, as sentences: the baseline has it and `now` has not, or the
    other way round."""
    there, said = {_key(row) for row in now.rows}, []
    reasons = {each.benchmark: each.reason.partition("\n")[0] for each in before.failed}
    for name in chosen:
        old = [row for row in before.rows if row.get("benchmark") == name]
        gone = sum(_key(row) not in there for row in old)
        if not old:
            why = f" (it failed there: {reasons[name]})" if name in reasons else ""
            said.append(f"{name}: the baseline has no rows of it{why}: nothing to compare with")
        elif gone == len(old):
            said.append(f"{name}: none of its {gone} rows in the baseline has been measured now: not compared")
        elif gone:
            said.append(f"{name}: {gone} of its {len(old)} rows in the baseline have not been measured now")
    return said


def remarks(now: Document, before: Document) -> list[str]:
    """Why the two may not be compared at all."""
    names = ("cpu_model", "cores_usable", "memory_pages", "compiler_flags")
    said = []
    for name in names:
        old, new = before.machine.get(name), now.machine.get(name)
        if None not in (old, new) and old != new:
            said.append(f"{name} was {old}, and is {new}: the figures are not of the same machine")
    return said
