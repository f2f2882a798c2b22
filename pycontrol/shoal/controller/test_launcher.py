# SPDX-License-Identifier: BSD-3-Clause
"""Real processes: the splitter's, which waits to be configured."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shoal.controller.launcher import LocalLauncher, Process, ProcessSpecification
from shoal.controller.splitter_client import SplitterClient
from shoal.errors import RefusedError
from shoal.run_directory import ProcessDirectory, RunDirectory


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
        await process.terminate()
        assert await process.wait() == "its process ended with status 0"
        assert sorted(path.name for path in directory.path.iterdir()) == ["log"]


async def test_a_killed_process_is_noticed_with_its_reason(run_directory: RunDirectory) -> None:
    run_directory.create()
    async with started(run_directory.splitter) as process, asyncio.timeout(5):
        os.kill(process.identity.pid, signal.SIGKILL)
        assert await process.wait() == "its process was killed by SIGKILL"
        assert process.ended
        await process.terminate()


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
