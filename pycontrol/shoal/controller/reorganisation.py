# SPDX-License-Identifier: BSD-3-Clause
"""Plans in a row: one at a time, the others wait. Persists each, carries it out, and tells of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from shoal.controller.config import Config
from shoal.controller.coordinator import Coordinator, Member, PlanAbandonedError, PlanOverError
from shoal.controller.fleet import Fleet, Running, peers_as_seen_by
from shoal.controller.planner import next_map
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.store import (
    STAGE_COMPLETE,
    STAGE_HAND_OVER,
    STAGE_LEARN,
    Store,
    StoredDeployment,
    StoredPlan,
)
from shoal.errors import ShoalError
from shoal.event_log import EventLog
from shoal.model import InstanceState, Peer, PlanState, PlanStatus
from shoal.process_host import cancelled

Observe = Callable[[PlanStatus], None]


class StoreJournal:
    """The coordinator's journal in the store."""

    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet

    def hand_over(self, plan: StoredPlan) -> StoredPlan:
        following = replace(plan, stage=STAGE_HAND_OVER)
        self._store.put_plan(following)
        return following

    def complete(self, plan: StoredPlan) -> StoredPlan:
        members = tuple(self._fleet.get(name) for name in _names(plan))
        self._store.complete_plan(plan, tuple(running.stored for running in members))
        for running in members:
            running.stored = replace(running.stored, state=plan.state_after(running.stored.name))
        completed = self._store.plan()
        assert completed is not None
        return completed

    def end(self) -> None:
        self._store.end_plan()


class Reorganisation:
    """Of one deployment. `settled` waits until no view change is under way."""

    def __init__(self, store: Store, fleet: Fleet, events: EventLog, settled: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._fleet = fleet
        self._events = events
        self._settled = settled
        self._turn = asyncio.Lock()
        self._coordinator_at_work: Coordinator | None = None
        self._interrupt = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._steering_left: bytes | None = None
        self.waiting = 0
        self.current: PlanStatus | None = None  # at work
        self.completed = 0
        self.seconds = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits until no other plan is at work, and no view change."""
        async with self.lock():
            await self._settled()
            yield

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Waits until no other plan is at work."""
        self.waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    # --- deaths

    def interrupt(self, name: str) -> None:
        """An instance has died: the plan at work, if it is one of its members, breaks off."""
        if self._coordinator_at_work is not None and name in self._coordinator_at_work.names:
            self._interrupt.set()

    def claim(self) -> None:
        """A plan of an earlier controller will be carried out: not quiet from now on."""
        self._quiet.clear()

    async def quiet(self) -> None:
        """Waits until the plan at work has ended or broken off."""
        await self._quiet.wait()

    @property
    def steering(self) -> bytes | None:
        """Where the plan at work, or the one that broke off last, has sent the packets of each steering slot. None:
        this controller has carried out none since the last map came into force."""
        return self._coordinator_at_work.steering if self._coordinator_at_work is not None else self._steering_left

    def forget_steering(self) -> None:
        """A map is in force that takes it into account."""
        self._steering_left = None

    # --- plans

    async def change(
        self,
        config: Config,
        splitter: SplitterClient | None,
        joining: Sequence[Running],
        leaving: Sequence[Running],
        observe: Observe,
        *,
        stop_leavers: bool,
        wanted: int = 0,
    ) -> PlanStatus:
        """Plans and carries out one change of members; with none, slots are only balanced. In one's turn only. As soon
        as it is complete, `wanted` instances are wanted; 0: as many as before.
        PlanOverError, PlanAbandonedError: a member died."""
        deployment = self._store.deployment()
        assert deployment is not None
        now = self._fleet.in_state(InstanceState.ACTIVE, InstanceState.LEAVING, InstanceState.FENCED)
        following = [running for running in now if running not in leaving] + list(joining)
        steering = next_map(deployment.steering, [running.stored.member for running in following])
        plan = StoredPlan(
            number=self._store.draw("plan"),
            kind=_kind(deployment, joining, leaving),
            stage=STAGE_LEARN,
            epoch_now=deployment.epoch,
            epoch_next=self._store.draw("epoch"),
            steering_now=steering.now,
            steering_next=steering.following,
            members_now=tuple(running.stored.name for running in now),
            members_next=tuple(running.stored.name for running in following),
            stop_leavers=stop_leavers,
            owner_now=deployment.owner,
            wanted=wanted,
        )
        self._store.put_plan(plan)
        return await self.carry_out(config, splitter, plan, observe)

    async def carry_out(
        self, config: Config, splitter: SplitterClient | None, plan: StoredPlan, observe: Observe
    ) -> PlanStatus:
        """Carries a persisted plan on from its stage."""
        coordinator = self._coordinator(splitter, plan, observe)
        self._events.add("plan.started", str(plan.number), _sentence(coordinator.status), kind=plan.kind)
        instances = tuple(self._fleet.get(name) for name in _names(plan))

        def peers_for(name: str) -> Mapping[str, Peer]:
            return peers_as_seen_by(config, self._fleet.get(name).stored, instances)

        self._interrupt.clear()
        self._quiet.clear()
        self._coordinator_at_work, self._steering_left = coordinator, None
        try:
            status = await self._run(coordinator, peers_for)
        except ShoalError as error:
            self._ended(coordinator.status, str(error))
            raise
        finally:
            self._steering_left = coordinator.steering
            self._coordinator_at_work = None
            self._quiet.set()
        self._steering_left = None
        self._ended(status, _sentence(status))
        return status

    async def _run(self, coordinator: Coordinator, peers_for: Callable[[str], Mapping[str, Peer]]) -> PlanStatus:
        """Until its end, or until a member dies before its last stage."""
        running = asyncio.create_task(coordinator.run(peers_for), name=f"plan {coordinator.status.number}")
        dying = asyncio.create_task(self._interrupt.wait(), name="interrupt")
        if any(self._fleet.get(name).ended for name in coordinator.names):
            self._interrupt.set()
        try:
            await asyncio.wait((running, dying), return_when=asyncio.FIRST_COMPLETED)
            if coordinator.stage == STAGE_COMPLETE or not self._interrupt.is_set():
                with contextlib.suppress(PlanOverError):
                    return await running
        finally:
            await cancelled(running, dying)
        dead = [name for name in coordinator.names if self._fleet.get(name).ended]
        await coordinator.interrupted(dead)
        kind = PlanAbandonedError if coordinator.stage == STAGE_LEARN else PlanOverError
        raise kind(f"{', '.join(dead)} died during the plan")

    async def abandon(self, splitter: SplitterClient | None, plan: StoredPlan, reason: str) -> None:
        """For a plan that an earlier controller left in stage 1."""
        coordinator = self._coordinator(splitter, plan, lambda _: None)
        await coordinator.abandon(reason)
        self._ended(coordinator.status, reason)

    def _coordinator(self, splitter: SplitterClient | None, plan: StoredPlan, observe: Observe) -> Coordinator:
        def follow(status: PlanStatus) -> None:
            self.current = status
            observe(status)

        members = {name: _member(self._fleet.get(name)) for name in _names(plan)}
        return Coordinator(plan, members, splitter, StoreJournal(self._store, self._fleet), follow)

    def _ended(self, status: PlanStatus, text: str) -> None:
        self.current = None
        if status.state is PlanState.COMPLETE:
            self.completed += 1
            self.seconds += status.duration_ms / 1000
        self._events.add(
            f"plan.{'completed' if status.state is PlanState.COMPLETE else status.state.value}",
            str(status.number),
            text,
            kind=status.kind,
            duration_ms=f"{status.duration_ms:.1f}",
            slots_moved=str(status.slots_moved),
            objects_moved=str(status.objects_moved),
            max_parked=str(status.parked_most),
        )


def _names(plan: StoredPlan) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*plan.members_now, *plan.members_next)))


def _member(running: Running) -> Member:
    return Member(running.stored.name, running.stored.member, running.client, lambda: running.ended)


def _kind(deployment: StoredDeployment, joining: Sequence[Running], leaving: Sequence[Running]) -> str:
    if not deployment.epoch:
        return "first"
    if joining and leaving:
        return "replace"
    if not joining and not leaving:
        return "balance"
    return "scale_out" if joining else "scale_in"


def _sentence(status: PlanStatus) -> str:
    who = [
        f"{', '.join(names)} {verb}"
        for names, verb in ((status.joining, "joining"), (status.leaving, "leaving"))
        if names
    ]
    moved = (
        f"{status.slots_moved} slots move"
        if status.state is not PlanState.COMPLETE
        else (f"{status.slots_moved} slots and {status.objects_moved} objects moved in {status.duration_ms:.0f} ms")
    )
    return "; ".join([*who, moved])
