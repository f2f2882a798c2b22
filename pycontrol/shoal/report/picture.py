# SPDX-License-Identifier: BSD-3-Clause
"""The run as one picture: throughput, latency, instances, objects moved, with the events shaded."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shoal.report.timeline import Timeline

BLUE, ORANGE, GREEN, RED, GREY = "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#888888"


def draw(timeline: Timeline, title: str, path: Path) -> None:
    """Writes a PNG."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    FigureCanvasAgg(figure)
    throughput, latency, instances, moved = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 1.5, 2))
    figure.suptitle(title)
    _throughput(throughput, timeline)
    _latency(latency, timeline)
    _instances(instances, timeline)
    _moved(moved, timeline)
    for axes in (throughput, latency, instances, moved):
        axes.grid(visible=True, alpha=0.3)
        for event in timeline.events:
            axes.axvspan(event.start_s, max(event.end_s, event.start_s + 0.05), color=GREY, alpha=0.25, linewidth=0)
    for event in timeline.events:
        throughput.text(event.start_s, 1.02, event.kind, transform=throughput.get_xaxis_transform(), fontsize=8)
    moved.set_xlabel("seconds since the traffic started")
    figure.savefig(path, format="png")


def _throughput(axes: Axes, timeline: Timeline) -> None:
    times = [row.end_s for row in timeline.traffic]
    axes.plot(times, [row.sent_pps / 1000 for row in timeline.traffic], color=GREY, linewidth=2.5, label="sent")
    axes.plot(times, [row.received_pps / 1000 for row in timeline.traffic], color=BLUE, linewidth=1, label="received")
    axes.set_ylabel("thousand packets/s")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")


def _latency(axes: Axes, timeline: Timeline) -> None:
    times = [row.end_s for row in timeline.traffic]
    curves = (("p50", "p50_us", GREEN), ("p99", "p99_us", ORANGE), ("max", "max_us", RED))
    for label, name, colour in curves:
        axes.plot(times, [getattr(row, name) for row in timeline.traffic], color=colour, linewidth=1, label=label)
    axes.set_yscale("log")
    axes.set_ylabel("latency, µs")
    axes.legend(loc="lower right")


def _instances(axes: Axes, timeline: Timeline) -> None:
    times = [sample.time_s for sample in timeline.cluster]
    axes.step(times, [sample.instances for sample in timeline.cluster], where="post", color=BLUE)
    axes.set_ylabel("instances")
    axes.set_ylim(0, max([sample.instances for sample in timeline.cluster], default=1) + 1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _moved(axes: Axes, timeline: Timeline) -> None:
    times = [sample.time_s for sample in timeline.cluster]
    axes.plot(times, [sample.objects_moved for sample in timeline.cluster], color=ORANGE)
    axes.set_ylabel("objects moved")
    axes.set_ylim(bottom=0)
