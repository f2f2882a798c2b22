# SPDX-License-Identifier: BSD-3-Clause
"""All processes that come from this one, also those in sessions of their own whose parent has ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Final

PR_SET_CHILD_SUBREAPER: Final = 36
PATIENCE_S: Final = 5.0


def adopt_orphans() -> None:
    """From now on processes whose parent ends become children of this one."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def of(process: int) -> list[int]:
    """Parents before their children."""
    found = []
    for child in _children(process):
        found.append(child)
        found.extend(of(child))
    return found


def end() -> None:
    """Ends them all: SIGTERM, and SIGKILL for those that are still there after a while."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in of(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        until = time.monotonic() + PATIENCE_S
        while _reap() and time.monotonic() < until:
            time.sleep(0.01)


def _children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _reap() -> bool:
    """Whether any are left, after collecting those that have ended."""
    while True:
        try:
            process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if process == 0:
            return True
