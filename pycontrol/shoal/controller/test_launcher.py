# SPDX-License-Identifier: BSD-3-Clause
"""Real processes: the splitter's, which waits to be configured."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shoal.controller.launcher import LocalLauncher, Process, ProcessSpecification
from shoal.controller.splitter_client import SplitterClient
from shoal.errors import RefusedError
from shoal.run_directory import ProcessDirectory, RunDirectory, read_pid_file


@asynccontextmanager
async def started(directory: ProcessDirectory) -> AsyncIterator[Process]:
    process = await LocalLauncher().start(ProcessSpecification("shoal.splitter", directory))
    try:
        client = SplitterClient(directory.address, 1)
        report = await client.wait_reachable(20)
        assert report.process == process.identity.pid
        await client.close()
        yield process
    finally:
        process.identity.send_signal(signal.SIGKILL)
        process.close()


async def test_a_process_ends_when_told_and_leaves_no_socket(run_directory: RunDirectory) -> None:
    run_directory.create()
    directory = run_directory.splitter
    async with started(directory) as process:
        assert directory.path.stat().st_mode & 0o777 == 0o700
        assert await process.terminate() is False
        assert await process.wait() == "its process ended with status 0"
        assert sorted(path.name for path in directory.path.iterdir()) == ["log"]


async def test_a_killed_process_is_noticed_with_its_reason(run_directory: RunDirectory) -> None:
    run_directory.create()
    async with started(run_directory.splitter) as process, asyncio.timeout(5):
        os.kill(process.identity.pid, signal.SIGKILL)
        assert await process.wait() == "its process was killed by SIGKILL"
        assert process.ended
        await process.terminate()


async def test_a_process_that_does_not_end_as_told_is_killed(run_directory: RunDirectory) -> None:
    run_directory.create()
    async with started(run_directory.splitter) as process:
        os.kill(process.identity.pid, signal.SIGSTOP)
        assert await process.terminate() is True
        assert await process.wait() == "its process was killed by SIGKILL"


async def test_a_process_that_is_no_child_can_be_watched_too(run_directory: RunDirectory) -> None:
    run_directory.create()
    async with started(run_directory.splitter) as process:
        adopted = LocalLauncher().adopt(process.identity)
        assert adopted is not None
        async with asyncio.timeout(5):
            os.kill(process.identity.pid, signal.SIGKILL)
            assert await adopted.wait() == "its process ended"
        assert LocalLauncher().adopt(process.identity) is None


async def test_a_command_before_configuring_is_refused(run_directory: RunDirectory) -> None:
    run_directory.create()
    async with started(run_directory.splitter):
        client = SplitterClient(run_directory.splitter.address, 1)
        with pytest.raises(RefusedError, match="not configured yet"):
            await client.set_table(bytes(256))
        await client.close()


# Starts a splitter's process as a controller does, and is killed at a chosen moment.
STARTER = """
import asyncio, os, signal, sys
from pathlib import Path
from shoal.controller import launcher
from shoal.run_directory import ProcessDirectory

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def start():
    directory = ProcessDirectory(Path(sys.argv[1]))
    await launcher.LocalLauncher().start(launcher.ProcessSpecification("shoal.splitter", directory))

if sys.argv[2] == "before":
    launcher.write_pid_file = die
asyncio.run(start())
die()
"""


async def killed_starter(directory: ProcessDirectory, moment: str) -> None:
    starter = await asyncio.create_subprocess_exec(sys.executable, "-c", STARTER, str(directory.path), moment)
    async with asyncio.timeout(30):
        assert await starter.wait() == -signal.SIGKILL


def command_lines() -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes())
    return lines


async def test_one_that_nobody_has_noted_ends_by_itself(run_directory: RunDirectory) -> None:
    run_directory.create()
    directory = run_directory.splitter
    await killed_starter(directory, "before")
    async with asyncio.timeout(30):
        while any(str(directory.path).encode() in line for line in command_lines()):
            await asyncio.sleep(0.01)
    assert sorted(path.name for path in directory.path.iterdir()) == ["log"]
    assert "nobody has noted this process" in directory.log.read_text()


async def test_one_that_was_noted_outlives_whoever_started_it_and_is_found(run_directory: RunDirectory) -> None:
    run_directory.create()
    directory = run_directory.splitter
    await killed_starter(directory, "after")
    identity = read_pid_file(directory.pid_file)
    assert identity is not None
    process = LocalLauncher().adopt(identity)
    assert process is not None
    try:
        client = SplitterClient(directory.address, 1)
        assert (await client.wait_reachable(20)).process == identity.pid
        await client.close()
    finally:
        await process.terminate()


async def test_a_start_that_is_cancelled_leaves_no_process(run_directory: RunDirectory) -> None:
    run_directory.create()
    directory = run_directory.splitter
    for ticks in range(4):
        starting = asyncio.create_task(LocalLauncher().start(ProcessSpecification("shoal.splitter", directory)))
        for _ in range(ticks):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not any(str(directory.path).encode() in line for line in command_lines())
