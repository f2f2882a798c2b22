# SPDX-License-Identifier: BSD-3-Clause
"""What benchmarks come to: rows of parameters and a figure, with the machine's description; as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shoal.errors import ConfigError, ConfigFault

Parameter = str | int | float | bool

# What a row has beside its parameters.
_FIGURES: Final = frozenset({"value", "unit", "ratio_to_ideal", "limited_by", "runs", "q1", "q3"})
_NOISE: Final = 0.1
"""Quartiles further apart than this part of the median: other load decided too."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: the median of its runs, and their quartiles."""

    parameters: tuple[tuple[str, Parameter], ...]
    value: float
    unit: str
    limited_by: str = ""
    ratio_to_ideal: float | None = None
    runs: int = 1
    q1: float = 0.0
    q3: float = 0.0

    def get(self, name: str) -> Parameter | None:
        return dict(self.parameters).get(name)

    def as_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = dict(self.parameters)
        answer |= {"value": self.value, "unit": self.unit, "q1": self.q1, "q3": self.q3, "runs": self.runs}
        if self.ratio_to_ideal is not None:
            answer["ratio_to_ideal"] = self.ratio_to_ideal
        return answer | {"limited_by": self.limited_by}


@dataclass(frozen=True, slots=True)
class Failure:
    """A benchmark without all of its runs: rows of those before are there."""

    benchmark: str
    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    machine: Mapping[str, Any]
    rows: tuple[Row, ...]
    series: tuple[Mapping[str, Any], ...] = field(default=())
    """Figures over time, for pictures: {"panel", "name", "x", "y", "marked": the x of points that do not count}."""
    failed: tuple[Failure, ...] = ()
    interrupted: bool = False
    """By the user; whatever has not all of its runs is among those that failed."""

    def as_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"machine": dict(self.machine), "rows": [row.as_json() for row in self.rows]}
        if self.series:
            answer["series"] = [dict(series) for series in self.series]
        if self.failed:
            answer["failed"] = [{"benchmark": each.benchmark, "reason": each.reason} for each in self.failed]
        if self.interrupted:
            answer["interrupted"] = True
        return answer


def row_of(members: Mapping[str, Any], benchmark: str = "") -> Row:
    """One row as a program prints it. KeyError, TypeError, ValueError where it is none."""
    parameters = {"benchmark": benchmark} if benchmark else {}
    parameters |= {name: value for name, value in members.items() if name not in _FIGURES}
    value = float(members["value"])
    ratio = members.get("ratio_to_ideal")
    return Row(
        parameters=tuple(parameters.items()),
        value=value,
        unit=str(members["unit"]),
        limited_by=str(members.get("limited_by", "")),
        ratio_to_ideal=None if ratio is None else float(ratio),
        runs=int(members.get("runs", 1)),
        q1=float(members.get("q1", value)),
        q3=float(members.get("q3", value)),
    )


def aggregated(runs: Sequence[Iterable[Row]]) -> tuple[Row, ...]:
    """Rows of several runs with the same parameters and unit become one, in the order in which they came first."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for run in runs:
        for row in run:
            groups.setdefault((*row.parameters, row.unit), []).append(row)
    return tuple(_median(group) for group in groups.values())


def _median(rows: Sequence[Row]) -> Row:
    values = [row.value for row in rows]
    middle = statistics.median(values)
    q1, q3 = _quartiles(values)
    ratios = [row.ratio_to_ideal for row in rows if row.ratio_to_ideal is not None]
    limited_by = rows[0].limited_by
    if len(rows) > 1 and middle and (q3 - q1) / abs(middle) > _NOISE:
        limited_by += f"; and other load on this machine: the quartiles are {(q3 - q1) / abs(middle):.0%} apart"
    return Row(
        parameters=rows[0].parameters,
        value=middle,
        unit=rows[0].unit,
        limited_by=limited_by,
        ratio_to_ideal=round(statistics.median(ratios), 4) if ratios else None,
        runs=len(rows),
        q1=q1,
        q3=q3,
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    q1, _, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return q1, q3


def write(document: Document, path: Path) -> None:
    path.write_text(json.dumps(document.as_json(), indent=1) + "\n")


def read(path: Path) -> Document:
    """ConfigError where the file can't be read, or is no such document."""
    try:
        return _document_of(json.loads(path.read_text()))
    except OSError as error:
        raise ConfigError([ConfigFault(str(path), 0, 0, "", error.strerror or str(error))]) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        fault = ConfigFault(str(path), 0, 0, "", f"is not what `shoal bench --json` writes: {why}")
        raise ConfigError([fault]) from error


def _document_of(members: object) -> Document:
    """ValueError, KeyError, TypeError where it is none."""
    whole = _object(members, "the document")
    rows = tuple(row_of(_object(row, "a row")) for row in _array(whole["rows"], "rows"))
    for row in rows:
        if any(not isinstance(value, Parameter) for _, value in row.parameters):
            raise TypeError("a row's parameters are words and numbers")
    series = tuple(_object(one, "one of series") for one in _array(whole.get("series", []), "series"))
    failed = (_object(each, "one of failed") for each in _array(whole.get("failed", []), "failed"))
    failures = tuple(Failure(str(each["benchmark"]), str(each["reason"])) for each in failed)
    return Document(_object(whole["machine"], "machine"), rows, series, failures, bool(whole.get("interrupted")))


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name} is no object")
    return value


def _array(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} is no array")
    return value
