# SPDX-License-Identifier: BSD-3-Clause
"""bench."""

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from shoal.bench import catalogue, comparison, document, machine, program, running
from shoal.bench.catalogue import BENCHMARKS, Benchmark
from shoal.bench.comparison import Change
from shoal.bench.document import Document, Row
from shoal.bench.program import Settings
from shoal.cli.console import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    ended_as_by_ctrl_c,
    fail,
    os_error_text,
    output,
    remarks,
    require_writable,
)
from shoal.errors import ConfigError, ConfigFault, InvalidRequestError, ShoalError

BASELINE = "bench/baseline.json"
_STYLES = {Change.SAME: "", Change.BETTER: "green", Change.WORSE: "red", Change.NEW: "cyan"}


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Checking")(bench)


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Which; 'all' for all. Without it they are listed.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the rows here, as JSON.", dir_okay=False)] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture here, a PNG.", dir_okay=False)] = None,
    against: Annotated[
        bool, typer.Option("--against", help="Show what changed since the baseline; without a name, of all.")
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option(help="That baseline: what --json wrote before.", show_default=BASELINE, dir_okay=False),
    ] = None,
    runs: Annotated[int, typer.Option(help="Runs of each; figures are their medians.", min=1)] = 7,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only see whether it works; the figures mean nothing.")
    ] = False,
    core: Annotated[int | None, typer.Option(help="Measure on this core.", show_default="the last")] = None,
) -> None:
    """Measure how fast Shoal is on this machine.

    Every figure is the median of several runs, with its quartiles, what limited it, and, where there is one, its
    ratio to an ideal without anything distributed, measured chunk by chunk in the same minute on the same core.
    Where a benchmark fails the others go on, and it is named; Ctrl-C or SIGTERM ends it: what was measured is shown and
    written.
    """
    try:
        _check(names, json, plot, against=against, baseline=baseline)
        if not names and not against:
            _show_names()
            return
        chosen = catalogue.chosen(names or [catalogue.ALL])
        settings = _settings(core, runs, quick=quick)
        require_writable(json, plot)
        before = _baseline(baseline) if against else None
        with ended_as_by_ctrl_c():
            measured = running.run(chosen, settings, _progress, partial(_tell_of_failure, settings))
    except ShoalError as error:
        fail(error, as_json=False)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if before:
        _show_changes(measured, before, [benchmark.name for benchmark in chosen])
    else:
        _show(measured)
    try:
        _write(measured, json, plot)
    except OSError as error:
        fail(ShoalError(f"what was measured can't be written: {os_error_text(error)}"), as_json=False)
    _end(measured)


def _check(names: list[str] | None, *files: Path | None, against: bool, baseline: Path | None) -> None:
    """InvalidRequestError: options that would do nothing."""
    if baseline and not against:
        raise InvalidRequestError("--baseline counts with --against")
    if any(files) and not names and not against:
        raise InvalidRequestError("name the benchmarks to measure, or 'all': without any they are only listed")
    written = [path.absolute() for path in files if path]
    if len(set(written)) < len(written):
        raise InvalidRequestError(f"{written[0]}: --json and --plot are two files")


def _baseline(path: Path | None) -> Document:
    """ConfigError: there is none to compare with."""
    path = path or _last_release()
    before = document.read(path)
    if not before.rows:
        raise ConfigError([ConfigFault(str(path), 0, 0, "", "has no rows: there is nothing to compare with")])
    return before


def _write(measured: Document, json: Path | None, plot: Path | None) -> None:
    if json:
        document.write(measured, json)
    if plot and not measured.rows:
        remarks.print(f"nothing was measured: {plot} is not written", markup=False, highlight=False)
    elif plot:
        from shoal.bench import picture  # loads a library that is slow, and speaks up where HOME can't be written

        picture.draw(measured, plot)


def _tell_of_failure(settings: Settings, benchmark: Benchmark, reason: str) -> None:
    """What it was, and how to look at it alone; the others go on."""
    remarks.print(f"shoal: benchmark {benchmark.name} failed in {reason}", style="red", markup=False, highlight=False)
    with contextlib.suppress(ShoalError):
        alone = shlex.join(program.command(benchmark.name, settings))
        text = f"its other runs are left out. Alone: shoal bench {benchmark.name}; the program: {alone}"
        remarks.print(text, markup=False, highlight=False)


def _end(measured: Document) -> None:
    """Exit status 1 where a benchmark has failed, with their names as the last line."""
    if not measured.failed:
        return
    names = ", ".join(each.benchmark for each in measured.failed)
    why = "interrupted" if measured.interrupted else "shoal"
    remarks.print(f"{why}: without all of their runs: {names}", style="red", markup=False, highlight=False)
    raise typer.Exit(EXIT_INTERRUPTED if measured.interrupted else EXIT_FAILED)


def _last_release() -> Path:
    """The source tree's: in the present folder, or beside the environment that this runs in."""
    here = Path(BASELINE)
    return here if here.exists() else Path(sys.prefix).parent / BASELINE


def _settings(core: int | None, runs: int, *, quick: bool) -> Settings:
    first, second = machine.default_cores()
    settings = Settings(first, second, runs, quick)
    if core is None:
        return settings
    usable = machine.usable_cores()
    if core not in usable:
        raise InvalidRequestError(f"core {core} is not one that may be used here: {' '.join(map(str, usable))}")
    others = [other for other in usable if other != core]
    return dataclasses.replace(settings, core=core, other_core=others[-1] if others else None)


def _progress(benchmark: Benchmark, number: int, runs: int) -> None:
    if not number and not machine.hugepages_free():
        remarks.print("no hugepages are free: figures will be lower, by about 40 % (shoal doctor says how to get some)")
    remarks.print(f"{benchmark.name}: run {number + 1} of {runs}", style="dim", highlight=False)


def _show_names() -> None:
    table = Table("name", "what it asks", box=None, pad_edge=False)
    for benchmark in BENCHMARKS:
        table.add_row(benchmark.name, benchmark.question)
    output.print(table)


def _show(measured: Document) -> None:
    table = Table("", "value", "unit", "quartiles", "of ideal", box=None, pad_edge=False)
    for row in measured.rows:
        ratio = "" if row.ratio_to_ideal is None else f"{row.ratio_to_ideal:.3f}"
        table.add_row(_name(row), f"{row.value:.4g}", row.unit, f"{row.q1:.4g} … {row.q3:.4g}", ratio)
    output.print(table)


def _show_changes(measured: Document, before: Document, chosen: Sequence[str]) -> None:
    for remark in [*comparison.remarks(measured, before), *comparison.missing(measured, before, chosen)]:
        remarks.print(remark, style="yellow", markup=False, highlight=False)
    table = Table("", "before", "now", "unit", "change", "", box=None, pad_edge=False)
    for difference in comparison.compare(measured, before):
        was = "" if difference.before is None else f"{difference.before.value:.4g}"
        factor = difference.factor
        change = "" if factor is None else f"{(factor - 1) * 100:+.1f} %"
        now, word = f"{difference.now.value:.4g}", difference.change.value
        table.add_row(
            _name(difference.now), was, now, difference.now.unit, change, word, style=_STYLES[difference.change]
        )
    output.print(table)


def _name(row: Row) -> str:
    return " ".join(
        str(value) if isinstance(value, str) else f"{name}={value:g}" for name, value in row.parameters if value != 0
    )
