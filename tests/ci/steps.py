# SPDX-License-Identifier: BSD-3-Clause
"""Runs commands one after the other and leaves nothing of them behind, however it ends.

Each step is a session of its own. This process is the subreaper of all that the steps start, so that also what has
detached itself is found and ended; namespaces and temporary files carry the run's name and are removed at the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 15.0


@dataclass(frozen=True)
class Step:
    """One command, with the time after which it counts as hung."""

    name: str
    command: Sequence[str]
    deadline_s: float
    environment: dict[str, str] = field(default_factory=dict)


class InterruptedRunError(Exception):
    """A signal asked this run to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Run:
    """The steps of one `make test`, and all that must be gone after it."""

    def __init__(self) -> None:
        # A short path: sockets lie below it, whose paths must not exceed 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="shoal-"))
        self.durations: list[tuple[str, float]] = []
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _end_descendants()
        _remove_namespaces(f"shoal-{os.getpid()}-")
        shutil.rmtree(self.folder, ignore_errors=True)

    def step(self, step: Step) -> int:
        """Exit status of the step; 124 where its deadline has passed."""
        return self.together(step.name, [step])

    def together(self, name: str, steps: Sequence[Step]) -> int:
        """Runs steps at the same time; the exit status of the first, in their order, that failed."""
        for step in steps:
            print(f"\n--- {step.name}: {' '.join(step.command)}", flush=True)
        began = time.monotonic()
        processes = [self._start(step) for step in steps]
        try:
            statuses = [self._wait(step, process, began) for step, process in zip(steps, processes, strict=True)]
        except InterruptedRunError:
            for process in processes:
                _end_group(process)
            raise
        _end_descendants()
        self.durations.append((name, time.monotonic() - began))
        return next((status for status in statuses if status), 0)

    def _start(self, step: Step) -> subprocess.Popen[bytes]:
        environment = os.environ | {"TMPDIR": str(self.folder), "SHOAL_TEST_RUN": str(os.getpid())} | step.environment
        return subprocess.Popen(step.command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)

    @staticmethod
    def _wait(step: Step, process: subprocess.Popen[bytes], began: float) -> int:
        try:
            return process.wait(max(0.0, began + step.deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"--- {step.name}: not finished after {step.deadline_s:.0f} s", flush=True)
            _end_group(process)
            return 124


def run_until_failure(steps: Sequence[Callable[[Run], int]]) -> int:
    """Runs the steps; the first failure ends it. Exit status for the shell."""
    with Run() as run:
        try:
            for step in steps:
                status = step(run)
                if status:
                    return status
        except InterruptedRunError as interrupted:
            print(f"\n--- ended by {interrupted}", file=sys.stderr, flush=True)
            return 128 + interrupted.number
    return 0


def _interrupt(number: int, _: FrameType | None) -> None:
    raise InterruptedRunError(number)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks as Ctrl-C does, then firmly."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(GRACE_S)
            return
        except subprocess.TimeoutExpired:
            continue


def _children(parent: int) -> list[int]:
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _descendants(parent: int) -> list[int]:
    found = []
    for child in _children(parent):
        found.append(child)
        found.extend(_descendants(child))
    return found


def _end_descendants() -> None:
    """Ends what a step has left running: SIGTERM, then SIGKILL."""
    for number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        left = _descendants(os.getpid())
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        until = time.monotonic() + patience_s
        while _reap() and time.monotonic() < until:
            time.sleep(0.01)


def _reap() -> bool:
    """Whether children are left after collecting those that have ended."""
    while True:
        try:
            process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if process == 0:
            return True


def _remove_namespaces(prefix: str) -> None:
    try:
        names = [path.name for path in Path("/run/netns").iterdir() if path.name.startswith(prefix)]
    except OSError:
        return
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)
