# SPDX-License-Identifier: BSD-3-Clause
"""Kills the controller at a commit of its store. Python imports this by its name at the start of every process that has
this folder in PYTHONPATH; it does something in the controller's alone, and there it changes nothing but what
`sqlite3.connect` makes: a connection that counts its commits. tests/chaos/points.py says which one is to be the last.

The point: a JSON file `point` in the folder $SHOAL_TEST_DOOM, with the number of the commit, whether to die before or
after it, and perhaps in which function of the controller commits count. `victim`: a process that is killed as soon as a
plan's second stage has been persisted; commits count from then on. The word that is left is the file `died`."""

from __future__ import annotations

import functools
import json
import os
import signal
import sqlite3
import sys
import traceback
from pathlib import Path
from typing import Any

VARIABLE = "SHOAL_TEST_DOOM"
STAGE_HAND_OVER = 2


class Doom:
    """Of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._point: dict[str, Any] = {}
        self._number = 0  # of the commit that is at hand
        self._victim_dead = False

    def before(self) -> None:
        self._point = self._read()
        if self._point and self._counts():
            self._number += 1
        self._die_if(after=False)

    def after(self, database: sqlite3.Connection) -> None:
        self._die_if(after=True)
        victim = self._point.get("victim")
        if victim and not self._victim_dead:
            row = database.execute("SELECT stage FROM plan").fetchone()
            if row and row[0] == STAGE_HAND_OVER:
                os.kill(victim, signal.SIGKILL)
                self._victim_dead = True

    def _read(self) -> dict[str, Any]:
        try:
            point: dict[str, Any] = json.loads((self._folder / "point").read_text())
        except FileNotFoundError:
            return {}
        return point

    def _counts(self) -> bool:
        if self._point.get("victim") and not self._victim_dead:
            return False
        within = self._point.get("within")
        return not within or within in _functions()

    def _die_if(self, *, after: bool) -> None:
        if self._number and self._number == self._point.get("number") and after is self._point["after"]:
            (self._folder / "died").write_text(" < ".join(_functions()[:5]))
            os.kill(os.getpid(), signal.SIGKILL)


def _functions() -> list[str]:
    """Of the controller that are at work, the innermost first."""
    frames = traceback.extract_stack()
    return [each.name for each in reversed(frames) if "/shoal/controller/" in each.filename]


class DoomedConnection(sqlite3.Connection):
    doom: Doom

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if statement != "COMMIT":
            return super().execute(statement, *parameters)
        self.doom.before()
        cursor = super().execute(statement)
        self.doom.after(self)
        return cursor


if "shoal.controller" in sys.orig_argv and VARIABLE in os.environ:
    DoomedConnection.doom = Doom(Path(os.environ[VARIABLE]))
    vars(sqlite3)["connect"] = functools.partial(sqlite3.connect, factory=DoomedConnection)
