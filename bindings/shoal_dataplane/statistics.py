# SPDX-License-Identifier: BSD-3-Clause
"""Rows of statistics."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shoal_dataplane.door import check, ffi, lib, text


class StatisticKind(enum.IntEnum):
    COUNTER = lib.SHOAL_COUNTER
    GAUGE = lib.SHOAL_GAUGE
    HISTOGRAM = lib.SHOAL_HISTOGRAM


@dataclass(frozen=True, slots=True)
class Statistic:
    """One figure. Of a histogram, one bucket (`bound` in nanoseconds, cumulative; the last one "+Inf") or its sum
    (`bound` "sum")."""

    name: str
    label: str  # "" if there is none
    label_value: str
    kind: StatisticKind
    value: int
    bound: str = ""  # histograms only


def read_rows(fill: Callable[[Any, int], int], room: int = 256) -> tuple[Statistic, ...]:
    """All rows that a C function of the kind (rows, n) → how many there are can give."""
    while True:
        rows = ffi.new("struct shoal_statistic[]", room)
        count = check(fill(rows, room))
        if count <= room:
            return tuple(
                Statistic(
                    text(row.name),
                    text(row.label),
                    text(row.label_value),
                    StatisticKind(row.kind),
                    row.value,
                    text(row.bound),
                )
                for row in rows[0:count]
            )
        room = count + 16
