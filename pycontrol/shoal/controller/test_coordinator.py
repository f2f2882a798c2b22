# SPDX-License-Identifier: BSD-3-Clause
"""One plan against instances and a splitter that answer over real gRPC but have no data plane."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shoal.controller.coordinator import Coordinator, Member, PlanAbandonedError, PlanNoRoomError, PlanOverError
from shoal.controller.instance_client import InstanceClient
from shoal.controller.planner import NO_MAP, next_map
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.store import STAGE_COMPLETE, STAGE_HAND_OVER, STAGE_LEARN, StoredPlan
from shoal.controller.view import whole
from shoal.errors import DeadlineError, NoRoomError
from shoal.model import Peer, PlanState, PlanStatus
from shoal.proto import (
    common_pb2,
    instance_pb2,
    instance_pb2_grpc,
    splitter_pb2,
    splitter_pb2_grpc,
)
from shoal.rpc import Server
from shoal_dataplane import Stage
from shoal_dataplane.plan import bits_of, to_bits

Log = list[str]


class FakeInstance(instance_pb2_grpc.InstanceServiceServicer):
    """Has the stages and nothing behind them; its tokens arrive one steering slot at each question."""

    def __init__(self, name: str, number: int, log: Log) -> None:
        self.name, self.number, self._log = name, number, log
        self.fault: Exception | None = None
        self.stage = Stage.NORMAL
        self._expected: list[int] = []
        self._kept: list[int] = []
        self._arrived = 0
        self._leaves = False
        self._markers = False
        self.in_hand = 2
        self.expected_objects: tuple[int, ...] = ()
        self.owner_now = b""

    def _note(self, what: str) -> None:
        self._log.append(f"{self.name} {what}")

    async def ListClasses(self, request: Any, context: Any) -> Any:
        return common_pb2.ListClassesReply(classes=[common_pb2.StateClass(name="x", objects=2560)])

    async def Learn(self, request: Any, context: Any) -> Any:
        self._note(f"learn {request.epoch_next}")
        if self.fault is not None:
            raise self.fault
        following, now = request.steering_next, request.steering_now
        self._expected = [s for s in range(256) if following[s] == self.number != now[s]]
        self._kept = [s for s in range(256) if following[s] == self.number == now[s]]
        self._leaves = self.number not in following
        self.expected_objects = tuple(request.expected_objects)
        self.owner_now = request.owner_now
        self.stage = Stage.LEARNT
        return instance_pb2.StageReply(progress=self._progress())

    async def Abandon(self, request: Any, context: Any) -> Any:
        self._note("abandon")
        self.stage = Stage.NORMAL
        return instance_pb2.StageReply(progress=self._progress())

    async def HandOver(self, request: Any, context: Any) -> Any:
        if self.stage is not Stage.HANDING_OVER:
            self._note("hand over")
        self.stage = Stage.HANDING_OVER
        return instance_pb2.StageReply(progress=self._progress())

    async def MarkersBack(self, request: Any, context: Any) -> Any:
        self._note("markers back")
        self._markers = True
        return instance_pb2.StageReply(progress=self._progress())

    async def Drain(self, request: Any, context: Any) -> Any:
        self._note(f"drain, {self.in_hand} in hand")
        self.in_hand = max(0, self.in_hand - 1)
        return instance_pb2.DrainProgress(draining=True, empty=not self.in_hand, packets=self.in_hand)

    async def Forget(self, request: Any, context: Any) -> Any:
        self._note(f"forget, left {sorted(request.left)}")
        if self.fault is not None:
            raise self.fault
        self.stage = Stage.LEFT if self._leaves else Stage.NORMAL
        return instance_pb2.StageReply(progress=self._progress())

    async def GetProgress(self, request: Any, context: Any) -> Any:
        if self.stage is Stage.HANDING_OVER:
            self._arrived = min(self._arrived + 16, len(self._expected))
            if self._arrived == len(self._expected) and (self._markers or not self._leaves):
                self.stage = Stage.DONE
        return self._progress()

    def _progress(self) -> instance_pb2.Progress:
        return instance_pb2.Progress(
            stage=instance_pb2.Stage.ValueType(int(self.stage)),
            steering_ready=to_bits(frozenset(self._kept + self._expected[: self._arrived])),
            leases_moved=self._arrived,
        )


class FakeSplitter(splitter_pb2_grpc.SplitterServiceServicer):
    """A table; a redirected slot is pending until it has been asked about once."""

    def __init__(self, table: bytes, log: Log) -> None:
        self.table, self._log = bytearray(table), log
        self._pending: frozenset[int] = frozenset()

    async def GetReport(self, request: Any, context: Any) -> Any:
        return splitter_pb2.SplitterReport(table=bytes(self.table))

    async def SetTable(self, request: Any, context: Any) -> Any:
        self._log.append("table")
        self.table = bytearray(request.members)
        return splitter_pb2.SetTableReply()

    async def Redirect(self, request: Any, context: Any) -> Any:
        slots = bits_of(request.steering_slots)
        for slot in slots:
            assert self.table[slot] != request.member
            self.table[slot] = request.member
        self._log.append(f"redirect {len(slots)} to {request.member}")
        self._pending |= slots
        return splitter_pb2.RedirectProgress(pending_slots=to_bits(self._pending))

    async def GetRedirectProgress(self, request: Any, context: Any) -> Any:
        pending, self._pending = self._pending, frozenset()
        return splitter_pb2.RedirectProgress(pending_slots=to_bits(pending), parked_most=len(pending))


class MemoryJournal:
    def __init__(self, log: Log) -> None:
        self._log = log

    def hand_over(self, plan: StoredPlan) -> StoredPlan:
        self._log.append("persist stage 2")
        return replace(plan, stage=STAGE_HAND_OVER)

    def complete(self, plan: StoredPlan) -> StoredPlan:
        self._log.append("persist complete")
        return replace(plan, stage=STAGE_COMPLETE)

    def end(self) -> None:
        self._log.append("end")


class World:
    """Instances and splitter in this process, each at a socket of its own."""

    def __init__(self, folder: Path, table: bytes) -> None:
        self.log: Log = []
        self.folder = folder
        # What the coordinator does not call is not there.
        self.splitter = FakeSplitter(table, self.log)  # type: ignore[abstract]
        self.instances: dict[str, FakeInstance] = {}
        self.members: dict[str, Member] = {}
        self.dead: set[str] = set()
        self.servers: dict[str, Server] = {}
        self.statuses: list[PlanStatus] = []
        self._stack = AsyncExitStack()

    async def start(self, *names: str) -> None:
        for number, name in enumerate(names):
            instance = FakeInstance(name, number, self.log)  # type: ignore[abstract]
            self.instances[name] = instance
            address = f"unix:{self.folder / name}"
            self.servers[name] = Server(
                address, [], _adder(instance_pb2_grpc.add_InstanceServiceServicer_to_server, instance)
            )
            await self.servers[name].start()
            client = InstanceClient(name, address, 1)
            self._stack.push_async_callback(client.close)
            self.members[name] = Member(name, number, client, lambda name=name: name in self.dead)  # type: ignore[misc]
        address = f"unix:{self.folder / 'splitter'}"
        self.servers["splitter"] = Server(
            address, [], _adder(splitter_pb2_grpc.add_SplitterServiceServicer_to_server, self.splitter)
        )
        await self.servers["splitter"].start()
        self.client = SplitterClient(address, 1)
        self._stack.push_async_callback(self.client.close)

    def coordinator(self, plan: StoredPlan, *, splitter: bool = True) -> Coordinator:
        names = {*plan.members_now, *plan.members_next}
        members = {name: member for name, member in self.members.items() if name in names}
        return Coordinator(
            plan, members, self.client if splitter else None, MemoryJournal(self.log), self.statuses.append
        )

    def peers_for(self, _: str) -> Mapping[str, Peer]:
        return {name: Peer(member.number, 1, name, "") for name, member in self.members.items()}

    async def close(self) -> None:
        await self._stack.aclose()
        for server in self.servers.values():
            await server.stop(0)


def _adder(add: Callable[[Any, Any], None], servicer: object) -> Callable[[Any], None]:
    return lambda server: add(servicer, server)


@asynccontextmanager
async def world(folder: Path, table: bytes, *names: str) -> AsyncIterator[World]:
    made = World(folder, table)
    try:
        await made.start(*names)
        yield made
    finally:
        await made.close()


ONE = next_map(NO_MAP, [0]).following
TWO = next_map(ONE, [0, 1]).following
THREE = next_map(TWO, [0, 1, 2]).following


def plan(now: bytes, following: bytes, members_now: str, members_next: str, stage: int = STAGE_LEARN) -> StoredPlan:
    return StoredPlan(
        number=7,
        kind="scale_out",
        stage=stage,
        epoch_now=0 if now == NO_MAP else 1,
        epoch_next=2,
        steering_now=now,
        steering_next=following,
        members_now=tuple(members_now.split()),
        members_next=tuple(members_next.split()),
        stop_leavers=True,
    )


async def test_a_first_plan_sets_the_table_once_all_tokens_are_there(tmp_path: Path) -> None:
    async with world(tmp_path, NO_MAP, "a") as w:
        status = await w.coordinator(plan(NO_MAP, ONE, "", "a")).run(w.peers_for)
    assert w.log == [
        "a learn 2", "persist stage 2", "a hand over", "table", "persist complete", "a forget, left []", "end",
    ]  # fmt: skip
    assert bytes(w.splitter.table) == ONE
    assert (status.state, status.slots_moved) == (PlanState.COMPLETE, 0)


async def test_a_joiners_slots_are_redirected_as_their_tokens_arrive(tmp_path: Path) -> None:
    async with world(tmp_path, ONE, "a", "b") as w:
        status = await w.coordinator(plan(ONE, TWO, "a", "a b")).run(w.peers_for)
    assert bytes(w.splitter.table) == TWO
    assert w.log.index("persist stage 2") > max(w.log.index("a learn 2"), w.log.index("b learn 2"))
    assert w.log.count("redirect 16 to 1") == 8
    assert w.log[-4] == "persist complete"
    assert sorted(w.log[-3:-1]) == ["a forget, left []", "b forget, left []"]
    assert (status.steering_moved, status.slots_moved, status.objects_moved) == (128, 8192, 128)
    assert status.parked_most == 16
    assert w.instances["b"].expected_objects == (1280,)


async def test_a_leaver_hears_of_its_last_marker_and_forgets_last(tmp_path: Path) -> None:
    async with world(tmp_path, TWO, "a", "b") as w:
        await w.coordinator(plan(TWO, next_map(TWO, [0]).following, "a b", "a")).run(w.peers_for)
    last_redirect = max(index for index, line in enumerate(w.log) if line.startswith("redirect"))
    assert w.log[last_redirect + 1 :] == [
        "b markers back", "persist complete", "b drain, 2 in hand", "b drain, 1 in hand",
        "a forget, left [1]", "b forget, left [0, 1]", "end",
    ]  # fmt: skip
    assert w.instances["b"].stage is Stage.LEFT


async def test_without_a_splitter_nothing_is_redirected(tmp_path: Path) -> None:
    async with world(tmp_path, TWO, "a", "b") as w:
        following = next_map(TWO, [0]).following
        await w.coordinator(plan(TWO, following, "a b", "a"), splitter=False).run(w.peers_for)
    assert "b markers back" in w.log
    assert not any(line.startswith("redirect") for line in w.log)


async def test_one_without_room_abandons_the_plan_with_its_numbers(tmp_path: Path) -> None:
    async with world(tmp_path, ONE, "a", "b") as w:
        w.instances["b"].fault = NoRoomError("nat.mapping: 10 more, room for 3")
        with pytest.raises(PlanNoRoomError, match=r"nothing has changed: b: nat\.mapping: 10 more"):
            await w.coordinator(plan(ONE, TWO, "a", "a b")).run(w.peers_for)
    assert sorted(w.log[2:-1]) == ["a abandon", "b abandon"]
    assert w.log[-1] == "end"
    assert w.statuses[-1].state is PlanState.ABANDONED
    assert bytes(w.splitter.table) == ONE


async def test_one_that_dies_in_the_first_stage_abandons_the_plan(tmp_path: Path) -> None:
    async with world(tmp_path, ONE, "a", "b") as w:
        await w.servers["b"].stop(0)
        w.dead.add("b")
        with pytest.raises(PlanAbandonedError):
            await w.coordinator(plan(ONE, TWO, "a", "a b")).run(w.peers_for)
    assert w.log == ["a learn 2", "a abandon", "end"]


async def test_one_that_dies_later_ends_the_plan_for_a_view_change_to_follow(tmp_path: Path) -> None:
    async with world(tmp_path, ONE, "a", "b") as w:
        await w.servers["b"].stop(0)
        w.dead.add("b")
        coordinator = w.coordinator(plan(ONE, TWO, "a", "a b", STAGE_HAND_OVER))
        with pytest.raises(PlanOverError, match="b died during the plan"):
            await coordinator.run(w.peers_for)
        await coordinator.interrupted(["b"])
    assert w.statuses[-1].state is PlanState.OVER
    assert "end" not in w.log


async def test_one_that_dies_at_the_very_end_does_not_keep_the_others_from_forgetting(tmp_path: Path) -> None:
    async with world(tmp_path, TWO, "a", "b") as w:
        await w.servers["a"].stop(0)
        w.dead.add("a")
        status = await w.coordinator(plan(ONE, TWO, "a", "a b", STAGE_COMPLETE)).run(w.peers_for)
    assert w.log == ["b forget, left []", "end"]
    assert status.state is PlanState.COMPLETE


async def test_an_interrupted_first_stage_is_left_to_the_view_change_but_for_the_joiners(tmp_path: Path) -> None:
    async with world(tmp_path, TWO, "a", "b", "c") as w:
        await w.coordinator(plan(TWO, THREE, "a b", "a b c")).interrupted(["b"])
        assert w.log == ["c abandon"]
        w.log.clear()
        await w.coordinator(plan(TWO, THREE, "a b", "a b c")).interrupted(["c"])
    assert sorted(w.log[:-1]) == ["a abandon", "b abandon", "c abandon"]
    assert w.log[-1] == "end"


async def test_a_silent_member_is_waited_for_as_long_as_it_lives(tmp_path: Path) -> None:
    async with world(tmp_path, ONE, "a", "b") as w:
        w.instances["b"].fault = DeadlineError("the worker did not take the command")
        halfway = plan(ONE, TWO, "a", "a b", STAGE_COMPLETE)
        running = asyncio.create_task(w.coordinator(halfway).run(w.peers_for))
        async with asyncio.timeout(5):
            while w.log.count("b forget, left []") < 3:
                await asyncio.sleep(0)
        assert not running.done()
        w.instances["b"].fault = None
        assert (await running).state is PlanState.COMPLETE


async def test_what_the_splitters_table_says_counts(tmp_path: Path) -> None:
    """A steering slot that lies elsewhere than the map says is moved with the others."""
    async with world(tmp_path, TWO, "a", "b") as w:
        astray = [slot for slot in range(256) if TWO[slot] == 0][:5]
        for slot in astray:
            w.splitter.table[slot] = 1
        await w.coordinator(plan(TWO, next_map(TWO, [0]).following, "a b", "a")).run(w.peers_for)
    assert bytes(w.splitter.table) == bytes(256)


async def test_a_map_with_steering_slots_in_pieces_is_told_to_all(tmp_path: Path) -> None:
    async with world(tmp_path, TWO, "a", "b") as w:
        pieces = bytearray(whole(TWO))
        pieces[0] = 1 - pieces[0]
        whole_again = replace(plan(TWO, TWO, "a b", "a b"), owner_now=bytes(pieces))
        status = await w.coordinator(whole_again).run(w.peers_for)
        assert [w.instances[name].owner_now for name in "ab"] == [bytes(pieces)] * 2
    assert (status.slots_moved, status.steering_moved) == (1, 0)


async def test_a_plan_is_carried_on_from_its_second_stage(tmp_path: Path) -> None:
    """As after a restart: some slots are redirected already, and are not redirected again."""
    async with world(tmp_path, ONE, "a", "b") as w:
        halfway = plan(ONE, TWO, "a", "a b")
        for name in ("a", "b"):
            member = w.members[name]
            await w.coordinator(halfway)._learn_at(member, w.peers_for(name))  # noqa: SLF001 (an earlier controller did)
        moved = [slot for slot in range(256) if TWO[slot] == 1][:40]
        for slot in moved:
            w.splitter.table[slot] = 1
        w.log.clear()
        await w.coordinator(replace(halfway, stage=STAGE_HAND_OVER)).run(w.peers_for)
    assert bytes(w.splitter.table) == TWO
    assert sum(int(line.split()[1]) for line in w.log if line.startswith("redirect")) == 128 - 40
    assert w.log[-1] == "end"


async def test_a_completed_plan_only_has_to_be_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path, TWO, "a", "b") as w:
        await w.coordinator(plan(ONE, TWO, "a", "a b", STAGE_COMPLETE)).run(w.peers_for)
    assert sorted(w.log[:-1]) == ["a forget, left []", "b forget, left []"]
    assert w.log[-1] == "end"
