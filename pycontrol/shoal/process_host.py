# SPDX-License-Identifier: BSD-3-Clause
"""What every process of ours does: log, pid file, signals, serving until told to stop, leaving nothing behind."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from shoal.errors import ShoalError
from shoal.run_directory import ProcessDirectory, read_pid_file, write_pid_file

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def start_logging(name: str) -> None:
    """To standard error, which a launcher has pointed at the process's log file."""
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("SHOAL_LOG", "INFO").upper(),
        format=f"%(asctime)s %(levelname).1s {name} %(name)s: %(message)s",
    )


def begin_when_noted() -> None:
    """Waits until whoever has started this process has noted it. One that died before has closed the input: nobody
    would ever find this process, and it ends."""
    if not os.read(sys.stdin.fileno(), 1):
        raise SystemExit("nobody has noted this process: it ends")


class ControlThread:
    """The one thread of a process that calls the data plane's control functions."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"control {name}")

    async def run(self, function: Callable[P, R], *arguments: P.args, **keywords: P.kwargs) -> R:
        """Runs a call there. One that has begun runs to its end, whether or not the caller still waits."""
        future = self._executor.submit(function, *arguments, **keywords)
        return await asyncio.shield(asyncio.wrap_future(future))

    def run_now(self, function: Callable[P, R], *arguments: P.args, **keywords: P.kwargs) -> R:
        """As run, for other threads: blocks the caller, not an event loop's thread."""
        return self._executor.submit(function, *arguments, **keywords).result(timeout=10)

    def close(self) -> None:
        self._executor.shutdown(wait=True)


@contextlib.asynccontextmanager
async def hosted(directory: ProcessDirectory) -> AsyncIterator[asyncio.Event]:
    """Pid file and signals of this process; gives the event that SIGTERM and SIGINT set."""
    # Whatever this process makes, sockets above all, is its user's alone from the first moment.
    os.umask(0o077)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    write_pid_file(directory.pid_file)
    try:
        yield stop
    finally:
        identity = read_pid_file(directory.pid_file)
        if identity is not None and identity.pid == os.getpid():  # a later process may have put its own there
            directory.pid_file.unlink()


def cancelled_by_signals() -> list[int]:
    """The first signal cancels this task, whose clean-up later ones must not disturb. The list then has its number."""
    task = asyncio.current_task()
    assert task is not None
    received: list[int] = []

    def cancel(number: int) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, cancel, number)
    return received


def log_unforeseen(error: Exception, what: str) -> None:
    """For tasks that must not end: an error that is none of ours is a fault of the program, which goes on."""
    if not isinstance(error, ShoalError):
        logger.error("%s: unforeseen", what, exc_info=error)


async def cancelled(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancels tasks and waits for their end."""
    present = [task for task in tasks if task is not None]
    for task in present:
        task.cancel()
    await asyncio.gather(*present, return_exceptions=True)
