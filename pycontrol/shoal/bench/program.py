# SPDX-License-Identifier: BSD-3-Clause
"""The programs of bench/c: where they lie, and one run of one of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.bench.document import Row, row_of
from shoal.errors import DeadlineError, RefusedError, ShoalError


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
    path = Path(__file__).parent / "programs" / f"{name}_bench"
    if not path.is_file():
        raise RefusedError(f"the program of benchmark {name} is not built: {path} is missing. Run: make setup")
    return path


def run(name: str, settings: Settings, deadline_s: float, benchmark: str = "") -> Outcome:
    """Starts the program once, and reads what it prints."""
    command = [str(find(name)), "--cpu", str(settings.core)]
    if settings.other_core is not None:
        command += ["--other-cpu", str(settings.other_core)]
    command += ["--quick"] if settings.quick else []
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"{name}_bench has not ended after {deadline_s:.0f} s") from error
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"]
        raise ShoalError(f"{name}_bench failed: {said[-1]}")
    return parsed(name, answer.stdout, benchmark or name)


def parsed(name: str, text: str, benchmark: str) -> Outcome:
    """What a program printed. ShoalError where that is no document."""
    try:
        members = json.loads(text)
        rows = tuple(row_of(row, benchmark) for row in members["rows"])
        return Outcome(rows, members.get("machine", {}), tuple(members.get("series", ())))
    except (ValueError, KeyError, TypeError) as error:
        raise ShoalError(f"{name}_bench printed no document: {error}") from error
