# SPDX-License-Identifier: BSD-3-Clause
"""Rows as bars with their quartiles, one panel for each benchmark and unit; series as lines, with crosses
where somebody else had a core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from shoal.bench.document import Document, Row

BLUE, GREY = "#1f77b4", "#555555"
_BAR_INCHES, _PANEL_INCHES = 0.22, 1.1


def draw(document: Document, path: Path) -> None:
    """Writes a PNG."""
    panels = _panels(document.rows)
    series = {
        str(one["panel"]): [other for other in document.series if other["panel"] == one["panel"]]
        for one in document.series
    }
    heights = [_PANEL_INCHES + _BAR_INCHES * len(rows) for rows in panels.values()] + [3.0] * len(series)
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, ((benchmark, unit), rows) in zip(all_axes, panels.items(), strict=False):
        _bars(axes, f"{benchmark}, {unit}", rows)
    for axes, (title, lines) in zip(all_axes[len(panels) :], series.items(), strict=True):
        _lines(axes, title, lines)
    figure.savefig(path, format="png", dpi=90)


def _panels(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        panels.setdefault((str(row.get("benchmark") or ""), row.unit), []).append(row)
    return panels


def label(row: Row, beside: Sequence[Row]) -> str:
    """The parameters in which the row differs from those beside it."""
    parts = []
    for name, value in row.parameters:
        if name != "benchmark" and any(other.get(name) != value for other in beside):
            parts.append(str(value) if isinstance(value, str) else f"{name} {value:g}")
    return ", ".join(parts) or row.unit


def _bars(axes: Axes, title: str, rows: Sequence[Row]) -> None:
    places = range(len(rows))
    values = [row.value for row in rows]
    below = [max(0.0, row.value - row.q1) for row in rows]
    above = [max(0.0, row.q3 - row.value) for row in rows]
    axes.barh(places, values, xerr=[below, above], color=BLUE, ecolor=GREY, height=0.7)
    for place, row in zip(places, rows, strict=True):
        ratio = f" ({row.ratio_to_ideal:.2f} of the ideal)" if row.ratio_to_ideal is not None else ""
        axes.text(row.value, place, f" {row.value:.4g}{ratio}", va="center", fontsize=7)
    axes.set_yticks(places, [label(row, rows) for row in rows], fontsize=7)
    axes.invert_yaxis()
    if values and min(values) > 0 and max(values) > 100 * min(values):
        axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set_title(title, fontsize=9, loc="left")


def _lines(axes: Axes, title: str, lines: Sequence[object]) -> None:
    for line in lines:
        assert isinstance(line, dict)
        (drawn,) = axes.plot(line["x"], line["y"], linewidth=0.8, label=line["name"])
        marked = set(line.get("marked", ()))
        points = [at for at, x in enumerate(line["x"]) if x in marked]
        if points:
            drawn.set(marker="x", markersize=3, markevery=points)
    axes.set_yscale("log")
    axes.set_title(title, fontsize=9, loc="left")
    axes.legend(fontsize=7)
