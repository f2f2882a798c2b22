# SPDX-License-Identifier: BSD-3-Clause
"""The demo's own deployment: a controller in a directory of its own, and all that it starts; gone at the end, however
the demo ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from shoal.client import Client, connected
from shoal.demo import descendants
from shoal.errors import ShoalError
from shoal.run_directory import RunDirectory

START_DEADLINE_S: Final = 30.0
DOWN_DEADLINE_S: Final = 30.0


@contextlib.asynccontextmanager
async def deployed(config: str, directory: Path | None) -> AsyncIterator[Client]:
    """A client of a controller that has the configuration deployed. ShoalError where it cannot be."""
    descendants.adopt_orphans()
    folder = directory or Path(tempfile.mkdtemp(prefix="shoal-demo-"))
    run_directory = RunDirectory(folder / "run")
    try:
        run_directory.create()
        process = await _start(run_directory)
        async with connected(run_directory.controller.address) as client:
            try:
                await _reachable(client, process, run_directory)
                async for _ in client.deploy("demo.yaml", config):
                    pass
                yield client
            finally:
                await _down(client, process)
    finally:
        # Whatever did not end in order, and what was just being started when Ctrl-C came.
        await asyncio.to_thread(descendants.end)
        for each in (*run_directory.instances(), run_directory.splitter):
            await asyncio.to_thread(each.remove)
        if directory is None:
            shutil.rmtree(folder, ignore_errors=True)


async def _start(run_directory: RunDirectory) -> asyncio.subprocess.Process:
    # In a session of its own: Ctrl-C is for the demo, which then takes the deployment down in order.
    with run_directory.controller.open_log() as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shoal.controller", str(run_directory.path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )


async def _reachable(client: Client, process: asyncio.subprocess.Process, run_directory: RunDirectory) -> None:
    """Waits for the controller to answer, or to end."""
    ended = asyncio.create_task(process.wait(), name="controller's end")
    answered = asyncio.create_task(client.wait_reachable(START_DEADLINE_S), name="controller's first answer")
    try:
        await asyncio.wait((ended, answered), return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            log = run_directory.controller.log.read_text(errors="replace")
            raise ShoalError(f"the controller ended with status {ended.result()}:\n{log[-2000:]}")
        await answered
    finally:
        ended.cancel()
        answered.cancel()


async def _down(client: Client, process: asyncio.subprocess.Process) -> None:
    """Asks the controller to end everything, and waits for its own end, as long as that is worth it."""
    with contextlib.suppress(ShoalError, TimeoutError):
        async with asyncio.timeout(DOWN_DEADLINE_S):
            async for _ in client.down():
                pass
            await process.wait()
