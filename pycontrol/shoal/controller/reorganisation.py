# SPDX-License-Identifier: BSD-3-Clause
"""Plans in a row: one at a time, the others wait. Persists each, carries it out, and tells of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from shoal.controller.config import Config
from shoal.controller.coordinator import Coordinator, Member
from shoal.controller.fleet import Fleet, Running, peers_as_seen_by
from shoal.controller.planner import next_map
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.store import STAGE_HAND_OVER, STAGE_LEARN, Store, StoredDeployment, StoredPlan
from shoal.errors import RefusedError, ShoalError
from shoal.event_log import EventLog
from shoal.model import InstanceState, Peer, PlanState, PlanStatus

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
        members = tuple(self._fleet.get(name) for name in plan.members_next)
        self._store.complete_plan(plan, tuple(running.stored for running in members))
        for running in members:
            running.stored = replace(running.stored, state=InstanceState.ACTIVE)
        completed = self._store.plan()
        assert completed is not None
        return completed

    def end(self) -> None:
        self._store.end_plan()


class Reorganisation:
    """Of one deployment."""

    def __init__(self, store: Store, fleet: Fleet, events: EventLog) -> None:
        self._store = store
        self._fleet = fleet
        self._events = events
        self._turn = asyncio.Lock()
        self.waiting = 0
        self.current: PlanStatus | None = None  # at work
        self.completed = 0
        self.seconds = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits until no other plan is at work."""
        self.waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self.waiting -= 1
        try:
            stuck = self._store.plan()
            if stuck is not None:
                raise RefusedError(
                    f"plan {stuck.number} is stuck in stage {stuck.stage}: a member of it has ended; "
                    "`shoal down` and `shoal up` start anew"
                )
            yield
        finally:
            self._turn.release()

    async def change(
        self,
        config: Config,
        splitter: SplitterClient | None,
        joining: Sequence[Running],
        leaving: Sequence[Running],
        observe: Observe,
        *,
        stop_leavers: bool,
    ) -> PlanStatus:
        """Plans and carries out one change of members. In one's turn only."""
        deployment = self._store.deployment()
        assert deployment is not None
        now = self._fleet.in_state(InstanceState.ACTIVE, InstanceState.LEAVING)
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

        try:
            status = await coordinator.run(peers_for)
        except ShoalError as error:
            self._ended(coordinator.status, str(error))
            raise
        self._ended(status, _sentence(status))
        return status

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
        self.current = None if status.state is not PlanState.STUCK else status
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
