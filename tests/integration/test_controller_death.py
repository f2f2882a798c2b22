# SPDX-License-Identifier: BSD-3-Clause
"""The controller is killed in the middle of a plan, under traffic; the next one completes it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from shoal.client import Client, connected
from shoal.errors import ShoalError
from shoal.model import InstanceState, PlanState
from shoal.run_directory import ProcessIdentity, RunDirectory
from tests.integration.test_deployment import FLOWS, Shell, config, processes_naming, shell, until

__all__ = ["config", "shell"]

PAIRS = [(2, 3), (3, 1)]


@asynccontextmanager
async def client_of(made: Shell) -> AsyncIterator[Client]:
    async with connected(RunDirectory(made.directory).controller.address) as client:
        yield client


async def mappings(client: Client) -> dict[str, str]:
    """Key and translation of all mappings, as text."""
    return {str(each.key): str(each.object[0]) async for each in client.state_list("nat.mapping")}


async def scaled(client: Client, count: int) -> None:
    async for _ in client.scale("nat", count):
        pass


async def kill_while_handing_over(client: Client, count: int) -> None:
    """Begins to scale; kills the controller as soon as the plan is in its second stage."""
    process = (await client.status()).process
    identity = ProcessIdentity.of(process)
    scaling = asyncio.create_task(scaled(client, count))
    state = None
    while state is not PlanState.HANDING_OVER and not scaling.done():
        plan = (await client.status()).plan
        state = plan.state if plan else None
    assert state is PlanState.HANDING_OVER, "the plan was over before it was seen"
    os.kill(process, signal.SIGKILL)
    with suppress(ShoalError):
        await scaling
    async with asyncio.timeout(10):
        while identity is not None and identity.lives:
            await asyncio.sleep(0.01)


async def until_whole(client: Client, count: int) -> None:
    async with asyncio.timeout(30):
        while True:
            status = await client.status()
            active = [each for each in status.instances if each.state is InstanceState.ACTIVE]
            if status.plan is None and len(status.instances) == len(active) == count:
                return
            await asyncio.sleep(0.05)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_a_plan_is_completed_by_the_next_controller(shell: Shell, before: int, after: int) -> None:
    async with client_of(shell) as client:
        async with asyncio.timeout(20):
            while len(known := await mappings(client)) < FLOWS:
                await asyncio.sleep(0.05)
        await scaled(client, before)
        await kill_while_handing_over(client, after)
    await asyncio.to_thread(shell.good, "up", str(shell.file))
    async with client_of(shell) as client:
        await until_whole(client, after)
        status = await client.status()
        assert status.term == 2
        assert sum(each.tokens for each in status.instances) == 16384
        assert await mappings(client) == known
        await scaled(client, 2)
        assert await mappings(client) == known


@pytest.mark.timeout(180)
def test_what_stands_still_does_not_keep_a_deployment_from_its_end(shell: Shell) -> None:
    """Nor does it keep the next controller from its reign."""
    shell.good("scale", "nat", "2")
    before = shell.status()
    os.kill(before["instances"][0]["process"], signal.SIGSTOP)
    os.kill(before["process"], signal.SIGKILL)
    until(lambda: shell.command("status").returncode == 3, "no controller answers")
    shell.good("up", str(shell.file))
    assert shell.status()["instances_wanted"] == 2
    shell.good("down")
    assert not processes_naming(shell.directory)
    assert not shell.directory.exists()
