# SPDX-License-Identifier: BSD-3-Clause
"""The programs of bench/c: where they lie, and one run of one of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.bench.document import Row, row_of
from shoal.errors import DeadlineError, RefusedError, ShoalError

FOLDER = Path(__file__).parent / "programs"
_LAST_LINES = 5
"""Of what a program that failed has said."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How benchmarks are run."""

    core: int
    other_core: int | None
    runs: int = 7
    quick: bool = False
    """One short run of everything: whether it works at all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run said."""

    rows: tuple[Row, ...]
    machine: dict[str, Any]
    series: tuple[dict[str, Any], ...] = ()


def find(name: str) -> Path:
    """The program of that benchmark. RefusedError: it was not built."""
    path = FOLDER / f"{name}_bench"
    if not path.is_file():
        raise RefusedError(f"the program of benchmark {name} is not built: {path} is missing. Run: make setup")
    return path


def command(name: str, settings: Settings) -> list[str]:
    """The program with its arguments. RefusedError: it was not built."""
    words = [str(find(name)), "--cpu", str(settings.core)]
    if settings.other_core is not None:
        words += ["--other-cpu", str(settings.other_core)]
    return words + (["--quick"] if settings.quick else [])


def run(name: str, settings: Settings, deadline_s: float, benchmark: str = "") -> Outcome:
    """Starts the program once, and reads what it prints."""
    words = command(name, settings)
    # Ctrl-C waits until the program is known: one that was just being started would be left behind.
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        process = _start(words)
    except OSError as error:
        signal.signal(signal.SIGINT, before)
        raise RefusedError(f"{name}_bench can't be started: {words[0]}: {error.strerror}") from error
    try:
        signal.signal(signal.SIGINT, before)
        if held:
            raise KeyboardInterrupt
        printed, said = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired as error:
        process.kill()
        what = f"{name}_bench has not ended after {deadline_s:.0f} s"
        raise DeadlineError(_failure(what, process.communicate()[1])) from error
    except KeyboardInterrupt:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise ShoalError(_failure(f"{name}_bench {_end(process.returncode)}", said))
    return parsed(name, printed, benchmark or name)


def _start(words: list[str]) -> subprocess.Popen[str]:
    """Starts a copy of the program in memory of its own: where the pages of one file happen to lie in physical memory
    makes some loops up to a tenth slower than others, in each run alike, and no median would tell."""
    copy = os.memfd_create(Path(words[0]).name, 0)
    try:
        with Path(words[0]).open("rb") as program, open(copy, "wb", closefd=False) as memory:
            shutil.copyfileobj(program, memory)
        return subprocess.Popen(
            words,
            executable=f"/proc/self/fd/{copy}",
            pass_fds=(copy,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    finally:
        os.close(copy)


def _end(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _failure(what: str, said: str) -> str:
    """With the last lines of what the program said."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    return "\n  ".join([what, *lines[-_LAST_LINES:]])


def parsed(name: str, text: str, benchmark: str) -> Outcome:
    """What a program printed. ShoalError where that is no document."""
    try:
        members = json.loads(text)
        rows = tuple(row_of(row, benchmark) for row in members["rows"])
        return Outcome(rows, members.get("machine", {}), tuple(members.get("series", ())))
    except (ValueError, KeyError, TypeError) as error:
        raise ShoalError(f"{name}_bench printed no document: {error}") from error
