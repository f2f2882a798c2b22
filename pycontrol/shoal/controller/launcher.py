# SPDX-License-Identifier: BSD-3-Clause
"""Starts processes. Local ones now; other launchers come behind the same interface.

A process begins its work only when it has been noted in its directory: whoever starts it may be killed at any moment,
and the next controller must find what runs. One that is not told to begin ends by itself
(process_host.begin_when_noted).
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from shoal.errors import DeadlineError, ShoalError
from shoal.run_directory import ProcessDirectory, ProcessIdentity, make_private, write_pid_file

TERMINATE_GRACE_S: Final = 5.0
KILLED_S: Final = 20.0  # of the kernel, to take a killed process apart on a busy machine
_LOG_TAIL_BYTES: Final = 2000


@dataclass(frozen=True, slots=True)
class ProcessSpecification:
    """What to start: a Python module with its directory, in a network namespace if one is named."""

    module: str  # "shoal.agent" or "shoal.splitter"
    directory: ProcessDirectory
    network_namespace: str | None = None


class Process(Protocol):
    """A started process, child or not."""

    @property
    def identity(self) -> ProcessIdentity: ...

    @property
    def ended(self) -> bool: ...

    async def wait(self) -> str:
        """Waits for its end; how it ended, as a sentence."""
        ...

    async def terminate(self) -> bool:
        """Asks it to end, kills it after a grace, and waits for its end; whether it had to be killed. Idempotent."""
        ...

    def close(self) -> None:
        """Stops watching; the process lives on."""
        ...


class Launcher(Protocol):
    async def start(self, specification: ProcessSpecification) -> Process: ...

    def adopt(self, identity: ProcessIdentity) -> Process | None:
        """A process that an earlier controller started; None: it has ended."""
        ...


class LocalProcess:
    """Watched by its pidfd, which tells of the end of any process, not only of a child."""

    def __init__(self, identity: ProcessIdentity, child: "subprocess.Popen[bytes] | None" = None) -> None:
        self._identity = identity
        self._child = child
        self._descriptor = os.pidfd_open(identity.pid)
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._descriptor, self._has_ended)
        if not identity.lives:
            self._has_ended()

    @property
    def identity(self) -> ProcessIdentity:
        return self._identity

    @property
    def ended(self) -> bool:
        return self._end.done()

    def _has_ended(self) -> None:
        self.close()
        if not self._end.done():
            self._end.set_result(_how(self._child.wait()) if self._child else "its process ended")

    async def wait(self) -> str:
        return await asyncio.shield(self._end)

    async def terminate(self) -> bool:
        for number, deadline_s in ((signal.SIGTERM, TERMINATE_GRACE_S), (signal.SIGKILL, KILLED_S)):
            if not self.ended:
                self._identity.send_signal(number)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(deadline_s):
                        await self.wait()
            if self.ended:
                return number is signal.SIGKILL
        raise DeadlineError(f"process {self._identity.pid} does not end, though it was killed")

    def close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def _how(status: int) -> str:
    if status < 0:
        return f"its process was killed by {signal.Signals(-status).name}"
    return f"its process ended with status {status}"


class LocalLauncher:
    """On this host, in sessions of their own: they outlive the controller and get none of a terminal's signals."""

    async def start(self, specification: ProcessSpecification) -> Process:
        directory = specification.directory
        make_private(directory.path)
        command = [sys.executable, "-m", specification.module, str(directory.path), "--begin-when-noted"]
        if specification.network_namespace:
            command = ["ip", "netns", "exec", specification.network_namespace, *command]
        spawning = asyncio.create_task(asyncio.to_thread(_spawn, command, directory), name="spawn")
        try:
            child = await asyncio.shield(spawning)
            identity = _note(child, directory)
        except asyncio.CancelledError:
            await _unspawn(spawning)
            raise
        except OSError as error:
            raise ShoalError(f"can't start {specification.module}: {error}") from error
        if identity is None:
            raise ShoalError(f"{specification.module} ended at once: {log_tail(directory.log)}")
        return LocalProcess(identity, child)

    def adopt(self, identity: ProcessIdentity) -> Process | None:
        return LocalProcess(identity) if identity.lives else None


def _spawn(command: list[str], directory: ProcessDirectory) -> "subprocess.Popen[bytes]":
    with directory.open_log() as log:
        return subprocess.Popen(
            command,
            cwd=directory.path,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _note(child: "subprocess.Popen[bytes]", directory: ProcessDirectory) -> ProcessIdentity | None:
    """Leaves word of it, and tells it to begin. None: it has ended already."""
    identity = ProcessIdentity.of(child.pid)
    assert child.stdin is not None
    if identity is not None:
        write_pid_file(directory.pid_file, identity)
        with contextlib.suppress(BrokenPipeError):  # its end will be noticed
            os.write(child.stdin.fileno(), b"\n")
    child.stdin.close()
    return identity


async def _unspawn(spawning: "asyncio.Task[subprocess.Popen[bytes]]") -> None:
    """Nobody wants it any more."""
    with contextlib.suppress(OSError):
        child = await spawning
        child.kill()
        await asyncio.to_thread(child.wait)


def log_tail(path: Path) -> str:
    """The last line that a process wrote, for an error's sentence."""
    try:
        lines = path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return f"its log ends with: {lines[-1].strip()} ({path})" if lines else f"its log is empty ({path})"
