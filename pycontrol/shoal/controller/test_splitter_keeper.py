# SPDX-License-Identifier: BSD-3-Clause
"""A real splitter process, killed: a fresh one takes its place, with the table as the controller knows it."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shoal.controller.checking import check
from shoal.controller.config import Config
from shoal.controller.fleet import Fleet, Running
from shoal.controller.launcher import LocalLauncher, ProcessSpecification
from shoal.controller.splitter_keeper import SplitterKeeper
from shoal.controller.splitter_process import SplitterProcess
from shoal.controller.store import Store, StoredDeployment
from shoal.event_log import EventLog
from shoal.model import InstanceState
from shoal.network_function.description import Description
from shoal.run_directory import ProcessDirectory, ProcessIdentity, RunDirectory, read_pid_file
from shoal_dataplane import MEMBER_NONE, STEERING_SLOTS

FILE = """\
network_function: {name: nat, settings: {public_addresses: 192.0.2.1}}
ports:
  inside: {device: "net_null0,size=64"}
  outside: {device: "net_null1,size=64"}
splitter: {packets: 4096, parked: 512, fragments: 64, ring_bytes: 65536, runner: {idle: sleep, sleep_us: 1000}}
"""
NOWHERE = bytes([MEMBER_NONE]) * STEERING_SLOTS
DEADLINE_S = 30.0
Start = Callable[[int, InstanceState], Awaitable[Running]]


@dataclass(frozen=True)
class Scene:
    keeper: SplitterKeeper
    events: EventLog
    start: Start
    directory: ProcessDirectory
    what: tuple[Config, StoredDeployment, Description, Path]  # of which the splitter is one


@asynccontextmanager
async def keeping_members() -> AsyncIterator[tuple[SplitterKeeper, EventLog, Start]]:
    async with scene() as made:
        yield made.keeper, made.events, made.start


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    # Short: a Unix socket's path must not exceed 107 characters.
    with tempfile.TemporaryDirectory(prefix="shoal-") as folder:
        store, directory, events = Store(Path(folder) / "state.db"), RunDirectory(Path(folder) / "run"), EventLog()
        directory.create()
        fleet = Fleet(store, LocalLauncher(), directory, events, lambda _: None)
        # The controller's word: all packets go to member 3, who is not there.
        table = bytes([3]) * STEERING_SLOTS
        keeper = SplitterKeeper(store, LocalLauncher(), directory.splitter, fleet, events, lambda: table)
        checked = check("nat.yaml", FILE)
        deployment = store.begin_deployment("nat.yaml", FILE, 1, table)
        try:
            what = (checked.config, deployment, checked.description, checked.nf_path)
            await keeper.start(*what)

            async def start(member: int, state: InstanceState) -> Running:
                running = await fleet.start(checked.config, deployment, member, checked.nf_path)
                fleet.put(running, state)
                return running

            yield Scene(keeper, events, start, directory.splitter, what)
        finally:
            await asyncio.gather(*(fleet.stop(running) for running in fleet.instances))
            await keeper.stop()
            store.close()


@asynccontextmanager
async def keeping() -> AsyncIterator[tuple[SplitterKeeper, EventLog]]:
    async with keeping_members() as (keeper, events, _):
        yield keeper, events


async def until(events: EventLog, kind: str, after: int = 0) -> int:
    async with asyncio.timeout(DEADLINE_S):
        async for event in events.watch(after):
            if event.kind == kind:
                return event.sequence
    raise LookupError(kind)


@pytest.mark.timeout(90)
async def test_a_killed_splitter_is_replaced_and_its_client_goes_on() -> None:
    async with keeping() as (keeper, events):
        client, first = keeper.client, keeper.pid
        assert client is not None
        assert first
        assert not keeper.ended
        assert (await client.report()).process == first
        os.kill(first, signal.SIGKILL)
        await until(events, "splitter.replaced")
        assert keeper.pid not in (0, first)
        assert keeper.client is client, "whoever has it goes on with it"
        report = await client.report()
        assert report.process == keeper.pid
        assert report.table == NOWHERE, "who is not there gets no packets"
        assert keeper.restarts == 1
        assert keeper.gap_s > 0


@pytest.mark.timeout(90)
async def test_one_that_is_killed_as_soon_as_it_forwards_is_replaced_each_time() -> None:
    async with keeping() as (keeper, events):
        lives, replaced = {keeper.pid}, 0
        for _ in range(3):
            os.kill(keeper.pid, signal.SIGKILL)
            replaced = await until(events, "splitter.replaced", replaced)
            lives.add(keeper.pid)
        assert len(lives) == 4
        assert keeper.restarts == 3
        assert keeper.client is not None
        assert (await keeper.client.report()).process == keeper.pid


@pytest.mark.timeout(90)
async def test_one_that_is_stopped_is_not_replaced() -> None:
    async with keeping() as (keeper, events):
        identity = ProcessIdentity.of(keeper.pid)
        assert identity is not None
        await keeper.stop()
        assert keeper.ended
        assert keeper.pid == 0
        assert keeper.client is None
        assert not identity.lives
        assert "splitter.replaced" not in [event.kind for event in events.after(0)]


@pytest.mark.timeout(90)
async def test_a_member_that_comes_while_the_splitter_dies_gets_its_ring_of_the_fresh_one() -> None:
    async with keeping_members() as (keeper, events, start):
        member = await start(0, InstanceState.STARTING)
        os.kill(keeper.pid, signal.SIGKILL)
        await keeper.attach(member)
        assert keeper.client is not None
        report = await keeper.client.report()
        assert (report.process, tuple(report.members)) == (keeper.pid, (0,))
        await until(events, "splitter.replaced")


@pytest.mark.timeout(90)
async def test_a_member_that_goes_while_the_splitter_dies_makes_room_for_a_new_life() -> None:
    async with keeping_members() as (keeper, _, start):
        member = await start(0, InstanceState.JOINING)
        await keeper.attach(member)
        assert keeper.client is not None
        os.kill(keeper.pid, signal.SIGKILL)
        await keeper.detach(member)
        assert tuple((await keeper.client.report()).members) == ()
        await keeper.client.attach_member(0, member.stored.life + 1)


async def kill(process: int) -> None:
    """And waits for its end."""
    identity = ProcessIdentity.of(process)
    os.kill(process, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE_S):
        while identity is not None and identity.lives:
            await asyncio.sleep(0.001)


@pytest.mark.timeout(90)
async def test_one_that_an_earlier_controller_had_not_configured_is_replaced() -> None:
    async with scene() as made:
        keeper, first = made.keeper, made.keeper.pid
        await keeper.close()
        await kill(first)
        process = await LocalLauncher().start(ProcessSpecification("shoal.splitter", made.directory))
        await keeper.resume(*made.what)
        await until(made.events, "splitter.replaced")
        assert process.ended
        assert keeper.client is not None
        assert (await keeper.client.report()).configured


@pytest.mark.timeout(90)
async def test_one_that_an_earlier_controller_had_configured_only_is_finished() -> None:
    async with scene() as made:
        member = await made.start(3, InstanceState.ACTIVE)
        keeper, first = made.keeper, made.keeper.pid
        await keeper.close()
        await kill(first)
        splitter = await SplitterProcess.start(LocalLauncher(), made.directory, 1, made.events)
        await splitter.configure(*made.what)
        await splitter.close()
        await keeper.resume(*made.what)
        assert keeper.pid == splitter.pid
        assert keeper.client is not None
        report = await keeper.client.report()
        assert (report.table, tuple(report.members)) == (bytes([3]) * STEERING_SLOTS, (3,))
        async with asyncio.timeout(DEADLINE_S):
            while not (await member.client.report()).packets_attached:
                await asyncio.sleep(0.01)


@pytest.mark.timeout(90)
async def test_one_that_is_told_to_end_while_it_is_being_replaced_leaves_no_process() -> None:
    async with scene() as made:
        keeper, directory, first = made.keeper, made.directory, made.keeper.pid
        await kill(first)
        fresh = None
        async with asyncio.timeout(DEADLINE_S):
            while fresh is None or fresh.pid == first:
                fresh = read_pid_file(directory.pid_file)
                await asyncio.sleep(0.001)
        await keeper.stop()
        assert not fresh.lives
        assert not directory.path.exists()
