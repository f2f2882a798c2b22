# SPDX-License-Identifier: BSD-3-Clause
"""View changes after real processes were killed: store, fleet, coordinator and gRPC are the real ones; the survivors
answer over their sockets, but have no data plane."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shoal.controller.fleet import Fleet, Running
from shoal.controller.launcher import LocalLauncher
from shoal.controller.planner import NO_MAP, next_map
from shoal.controller.recovery import Recovery
from shoal.controller.reorganisation import Reorganisation
from shoal.controller.splitter_keeper import SplitterKeeper
from shoal.controller.store import STAGE_HAND_OVER, Store, StoredInstance, StoredPlan
from shoal.controller.view import whole
from shoal.controller.view_store import ViewStore
from shoal.errors import InvalidRequestError, StaleTermError
from shoal.event_log import EventLog
from shoal.model import Deaths, InstanceState
from shoal.proto import common_pb2, instance_pb2, instance_pb2_grpc
from shoal.rpc import Server
from shoal.run_directory import ProcessIdentity, RunDirectory, make_private
from shoal_dataplane import MEMBER_NONE, SLOTS

THREE = next_map(NO_MAP, [0, 1, 2]).following
OWNER = whole(THREE)
NAMES = ("nat-1", "nat-2", "nat-3")


def _bits(slots: frozenset[int]) -> bytes:
    return sum(1 << slot for slot in slots).to_bytes(SLOTS // 8, "little")


class Survivor(instance_pb2_grpc.InstanceServiceServicer):
    """Does as it is told at once: its tokens are those that it had, and those that it is to mint."""

    def __init__(self, member: int) -> None:
        self.member = member
        self.tokens = frozenset(slot for slot in range(SLOTS) if OWNER[slot] == member)
        self.deaths: list[Any] = []
        self.adopted: list[Any] = []
        self.ended: list[Any] = []
        self.refusal: Exception | None = None
        self.when_told: Callable[[], None] = lambda: None
        self.resumes = True

    async def Adopt(self, request: Any, context: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        self.adopted.append(request)
        return instance_pb2.AdoptReply()

    async def Death(self, request: Any, context: Any) -> Any:
        self.deaths.append(request)
        dead = {each.member for each in request.dead}
        lost = {slot for slot in range(SLOTS) if OWNER[slot] in dead and request.mint[slot] == self.member}
        self.tokens |= lost
        self.when_told()
        return await self.GetViewProgress(request, context)

    async def GetViewProgress(self, request: Any, context: Any) -> Any:
        view = self.deaths[-1].view if self.deaths else 0
        return instance_pb2.ViewProgress(
            view=view,
            resumed=view if self.resumes else 0,
            tokens=_bits(self.tokens),
            counts=[instance_pb2.ObjectCounts(adopted=7 * len(self.adopted))],
        )

    async def EndView(self, request: Any, context: Any) -> Any:
        self.ended.append(request)
        return await self.GetViewProgress(request, context)

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for _ in ():
            yield

    async def ListClasses(self, request: Any, context: Any) -> Any:
        return common_pb2.ListClassesReply(classes=[common_pb2.StateClass(name="nat.mapping")])


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "state.db")
        self.directory = RunDirectory(folder / "run")
        self.events = EventLog()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.servers: list[Server] = []
        self.instances: list[Survivor] = []
        self.reports: asyncio.Queue[Deaths] = asyncio.Queue()
        self.usurped = asyncio.Event()
        self.fleet = Fleet(
            self.store, LocalLauncher(), self.directory, self.events, lambda each: self.recovery.note(each)
        )
        reorganisation = Reorganisation(self.store, self.fleet, self.events, lambda: self.recovery.settled())
        keeper = SplitterKeeper(
            self.store, LocalLauncher(), self.directory.splitter, self.fleet, self.events, lambda: THREE
        )
        self.recovery = Recovery(
            self.store,
            self.fleet,
            lambda: reorganisation,
            lambda: keeper,
            self.events,
            fresh=self.fresh,
            shrinks=lambda: False,
            recovered=self.reports.put_nowait,
            returned=lambda: None,
            usurped=self.usurped.set,
        )

    async def fresh(self) -> Running:
        raise AssertionError("somebody was left")

    async def start(self) -> None:
        self.directory.create()
        self.store.put_deployment(replace(self.store.begin_deployment("nat.yaml", "", 3, THREE), epoch=1))
        for member, name in enumerate(NAMES):
            process = _sleeping()
            self.processes.append(process)
            identity = ProcessIdentity.of(process.pid)
            assert identity is not None
            slab = make_private(self.folder / f"slab-{member}")
            stored = StoredInstance(
                name, member, 11 + member, "", InstanceState.ACTIVE, identity.pid, identity.start_ticks, str(slab)
            )
            self.store.put_instance(stored)
            home = self.directory.instance(name)
            make_private(home.path)
            survivor = Survivor(member)  # type: ignore[abstract]
            self.instances.append(survivor)
            server = Server(home.address, [], _adder(survivor))
            await server.start()
            self.servers.append(server)
            self.fleet.take_up(stored)
        self.recovery.start()
        await self.recovery.settled()

    def kill(self, member: int) -> None:
        self.processes[member].kill()

    async def report(self) -> Deaths:
        async with asyncio.timeout(20):
            return await self.reports.get()

    async def until_buried(self, dead: int) -> None:
        """The survivors were told, and the directory has gone."""
        told = [each for each in self.instances if each.member != dead]
        async with asyncio.timeout(20):
            while not all(each.ended for each in told) or self.directory.instance(NAMES[dead]).path.exists():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self.recovery.stop()
        await self.fleet.close()
        for server in self.servers:
            await server.stop(0)
        for process in self.processes:
            process.kill()
            process.wait(10)
        self.store.close()


def _sleeping() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "1000"])


def _adder(survivor: Survivor) -> Callable[[Any], None]:
    return lambda server: instance_pb2_grpc.add_InstanceServiceServicer_to_server(survivor, server)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    # Short: a Unix socket's path must not exceed 107 characters.
    with tempfile.TemporaryDirectory(prefix="shoal-") as folder:
        made = World(Path(folder))
        try:
            await made.start()
            yield made
        finally:
            await made.close()


@pytest.mark.timeout(60)
async def test_a_killed_one_is_adopted_and_its_tokens_are_in_the_stored_map() -> None:
    async with world() as made:
        first = made.instances[0]
        begun: list[int] = []
        first.when_told = lambda: begun.append(getattr(ViewStore(made.store).view(), "number", 0))
        made.kill(2)
        deaths = await made.report()
        [death] = first.deaths
        assert begun == [death.view], "persisted before anybody is told"
        assert [(each.member, each.life) for each in death.dead] == [(2, 13)]
        assert sorted(death.survivors) == [0, 1]
        adopter = made.instances[death.dead[0].adopter]
        assert [(each.member, each.life) for each in adopter.adopted] == [(2, 13)]
        assert [(each.name, each.refusal) for each in deaths.instances] == [("nat-3", "")]
        assert [(each.class_name, each.adopted, each.at_least) for each in deaths.classes] == [
            ("nat.mapping", 7, False)
        ]
        deployment = made.store.deployment()
        assert deployment is not None
        owners = deployment.owner or whole(deployment.steering)
        assert deployment.epoch == death.epoch
        assert set(owners) == {0, 1}
        assert all(owners[slot] == was for slot, was in enumerate(OWNER) if was != 2)
        assert {each.name for each in made.store.instances()} == {"nat-1", "nat-2"}
        assert ViewStore(made.store).view() is None
        assert made.recovery.deaths() == (deaths,)


@pytest.mark.timeout(60)
async def test_a_slab_that_is_refused_is_left_out_of_the_next_view() -> None:
    async with world() as made:
        for each in made.instances:
            each.refusal = InvalidRequestError("an image of another layout")
        made.kill(1)
        deaths = await made.report()
        assert all(MEMBER_NONE not in each.deaths[-1].mint for each in (made.instances[0], made.instances[2]))
        assert not made.instances[0].deaths[-1].dead[0].HasField("adopter")
        assert "another layout" in deaths.instances[0].refusal
        assert deaths.classes[0].at_least
        assert "slab.refused" in [event.kind for event in made.events.after(0)]


@pytest.mark.timeout(60)
async def test_a_survivor_that_dies_in_a_view_is_named_in_the_next_with_the_first() -> None:
    async with world() as made:
        last = made.instances[0]
        made.instances[1].resumes = False
        made.instances[1].when_told = lambda: made.kill(1)
        made.kill(2)
        deaths = await made.report()
        first, second = last.deaths
        assert second.view > first.view
        assert {each.member: each.life for each in second.dead} == {1: 12, 2: 13}
        assert sorted(each.name for each in deaths.instances) == ["nat-2", "nat-3"]
        assert len(last.tokens) == SLOTS


@pytest.mark.timeout(60)
async def test_a_death_while_slots_are_handed_over_ends_the_plan() -> None:
    async with world() as made:
        two = next_map(THREE, [0, 1]).following
        made.store.put_plan(StoredPlan(1, "scale_in", STAGE_HAND_OVER, 1, 2, THREE, two, NAMES, NAMES[:2], True))
        made.kill(2)
        await made.report()
        assert made.store.plan() is None
        assert {each.state for each in made.store.instances()} == {InstanceState.ACTIVE}


@pytest.mark.timeout(60)
async def test_what_is_left_of_the_dead_goes_where_the_controller_died_after_the_view() -> None:
    async with world() as made:
        made.kill(2)
        deaths = await made.report()
        await made.until_buried(2)
        for each in made.instances:
            each.ended.clear()
        left = make_private(made.directory.instance("nat-3").path)

        await made.recovery.finish_burials()
        assert not left.exists()
        await made.until_buried(2)
        assert made.directory.instance("nat-1").path.exists()
        [request] = made.instances[0].ended
        assert (request.view, [(each.member, each.life) for each in request.dead]) == (deaths.view, [(2, 13)])


@pytest.mark.timeout(60)
async def test_another_reign_is_noticed() -> None:
    async with world() as made:
        for each in made.instances:
            each.when_told = _refuse_as_stale
        made.kill(0)
        async with asyncio.timeout(20):
            await made.usurped.wait()
        assert made.reports.empty()


def _refuse_as_stale() -> None:
    raise StaleTermError(1, 9)
