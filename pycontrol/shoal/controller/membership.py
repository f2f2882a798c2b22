# SPDX-License-Identifier: BSD-3-Clause
"""Brings the members to what is wanted: starts instances, plans, ends leavers; and again, where somebody dies
meanwhile. All of it in one's turn (reorganisation.py)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from shoal.controller.config import Config
from shoal.controller.coordinator import PlanAbandonedError, PlanOverError
from shoal.controller.fleet import Fleet, Running
from shoal.controller.operation import Report
from shoal.controller.planner import shares
from shoal.controller.reorganisation import Reorganisation
from shoal.controller.splitter_keeper import SplitterKeeper
from shoal.controller.store import Store, StoredDeployment
from shoal.errors import InvalidRequestError, NoRoomError, RefusedError, ShoalError
from shoal.model import InstanceState, OperationUpdate, PlanStatus
from shoal_dataplane import MEMBERS_MAX

# Plans that a death breaks off are made anew; a joiner that dies each time is no accident.
TRIES_MAX: Final = 5


class Membership:
    """Of one deployment. `settled` waits until no view change is under way."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        reorganisation: Reorganisation,
        splitter: SplitterKeeper,
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._reorganisation = reorganisation
        self._splitter = splitter
        self._settled = settled

    @property
    def wanted(self) -> int:
        deployment = self._store.deployment()
        assert deployment is not None
        return deployment.instances_wanted

    def want(self, count: int) -> None:
        """Persists how many there shall be."""
        deployment = self._store.deployment()
        assert deployment is not None
        self._store.put_deployment(replace(deployment, instances_wanted=count, wanted_before=0))

    def begin(self, count: int) -> None:
        """As want, for an operation: until it has reached that, it is known how many were wanted before."""
        deployment = self._store.deployment()
        assert deployment is not None
        before = deployment.wanted_before or deployment.instances_wanted
        self._store.put_deployment(replace(deployment, instances_wanted=count, wanted_before=before))

    def reached(self) -> None:
        """What an operation wanted is there: it stays wanted, whatever comes."""
        deployment = self._store.deployment()
        if deployment is not None and deployment.wanted_before:
            self.want(deployment.instances_wanted)

    def take_back(self) -> int | None:
        """After an operation that has failed: as many as before it are wanted. None: it had changed nothing, or what it
        wanted has been reached."""
        deployment = self._store.deployment()
        if deployment is None or not deployment.wanted_before:
            return None
        self.want(deployment.wanted_before)
        return deployment.wanted_before

    # --- goals

    async def reach(self, config: Config, nf_path: Path, count: int, report: Report) -> OperationUpdate:
        """So many members, and slots in balance."""
        status: PlanStatus | None = None
        for _ in range(TRIES_MAX):
            await self._settled()
            active = self._fleet.in_state(InstanceState.ACTIVE)
            if count == len(active) and not self._unbalanced(active):
                text = f"{counted(count)} {'already' if status is None else 'now'}"
                return OperationUpdate("done", text, done=True, plan=status)
            try:
                if count >= len(active):
                    joining = await self._joiners(config, nf_path, count - len(active), report)
                    await self._settled()
                    if active != self._fleet.in_state(InstanceState.ACTIVE):
                        continue  # somebody died while they were started
                    status = await self.change(config, joining, [], report, stop_leavers=True)
                else:
                    status = await self.change(config, [], active[count:], report, stop_leavers=True)
            except (PlanOverError, PlanAbandonedError):
                if not self._somebody_died():
                    raise
        raise RefusedError(f"{counted(count)} were not reached in {TRIES_MAX} plans: members died in each")

    async def leave(self, config: Config, running: Running, report: Report, *, stop_leavers: bool) -> OperationUpdate:
        """One named instance hands over everything."""
        name = running.stored.name
        if running.stored.state is InstanceState.DRAINED:
            if stop_leavers:
                await self._fleet.stop(running)
            return OperationUpdate("done", f"{name} was drained before", done=True)
        if running.stored.state is InstanceState.STOPPING and stop_leavers:
            await self.discard([running])  # its process did not end when it had left
            return OperationUpdate("done", f"{name} had handed over everything before, and has ended now", done=True)
        first = True
        for _ in range(TRIES_MAX):
            await self._settled()
            if running not in self._fleet.instances or running.ended:
                if not first and self.wanted > len(self._fleet.in_state(InstanceState.ACTIVE)):
                    self.want(self.wanted - 1)  # nobody shall take its place
                return OperationUpdate("done", f"{name} has died: another has taken over what it held", done=True)
            active = self._fleet.in_state(InstanceState.ACTIVE)
            if running not in active:
                raise RefusedError(f"{name} is {running.stored.state.value}, not active")
            if len(active) == 1:
                raise RefusedError(f"{name} is the last one: scale out first, or `shoal down`")
            first = False
            # With the plan's completion: whoever found only one of the two would end another one, or start one.
            wanted = max(1, self.wanted - 1)
            try:
                status = await self.change(config, [], [running], report, stop_leavers=stop_leavers, wanted=wanted)
            except (PlanOverError, PlanAbandonedError):
                if not self._somebody_died():
                    raise
                continue
            return OperationUpdate("done", f"{name} has handed over everything", done=True, plan=status)
        raise RefusedError(f"{name} could not leave in {TRIES_MAX} plans: members died in each")

    def _somebody_died(self) -> bool:
        return any(running.ended for running in self._fleet.instances)

    def _unbalanced(self, active: Sequence[Running]) -> bool:
        """Whether the map is not what a plan would have made it: after a death."""
        deployment = self._store.deployment()
        assert deployment is not None
        members = [running.stored.member for running in active]
        if not members or not deployment.epoch:
            return False
        wanted = shares(deployment.steering, members)
        return bool(deployment.owner) or any(deployment.steering.count(each) != wanted[each] for each in members)

    # --- instances

    async def _joiners(self, config: Config, nf_path: Path, count: int, report: Report) -> Sequence[Running]:
        """So many instances that are to join: those that a broken plan has left, and new ones."""
        await self.discard([running for running in self._fleet.ended if running.stored.state is InstanceState.JOINING])
        there = self._fleet.in_state(InstanceState.JOINING)
        await self.discard(there[count:])
        missing = count - len(there)
        deployment = self._store.deployment()
        assert deployment is not None
        fresh = await self.start(config, deployment, nf_path, missing, report) if missing > 0 else ()
        return [*there[:count], *fresh]

    async def start(
        self, config: Config, deployment: StoredDeployment, nf_path: Path, count: int, report: Report
    ) -> Sequence[Running]:
        """New instances, configured and with their packet rings; all or none."""
        report(OperationUpdate("start", f"starting {counted(count)}", 0, count))
        started = 0

        async def one(member: int) -> Running:
            nonlocal started
            running = await self._fleet.start(config, deployment, member, nf_path)
            try:
                await self._splitter.attach(running)
                self._fleet.put(running, InstanceState.JOINING)
            except BaseException:
                await self.discard([running])
                raise
            started += 1
            report(OperationUpdate("start", f"{running.stored.name} runs", started, count))
            return running

        # Nobody else takes the same ones meanwhile: where all members die, recovery starts one beside an operation.
        with self._fleet.reserved(count) as numbers:
            answers = await asyncio.gather(*(one(member) for member in numbers), return_exceptions=True)
        made = [answer for answer in answers if isinstance(answer, Running)]
        for answer in answers:
            if isinstance(answer, BaseException):
                await self.discard(made)
                raise answer
        return made

    async def change(
        self,
        config: Config,
        joining: Sequence[Running],
        leaving: Sequence[Running],
        report: Report,
        *,
        stop_leavers: bool,
        wanted: int = 0,
    ) -> PlanStatus:
        """One plan, and the end of its leavers. `wanted`: from its completion on; 0: as many as before."""
        for running in leaving:
            self._fleet.put(running, InstanceState.LEAVING)
        try:
            status = await self._reorganisation.change(
                config,
                self._splitter.client,
                joining,
                leaving,
                observer(report),
                stop_leavers=stop_leavers,
                wanted=wanted,
            )
        except PlanOverError:
            raise  # a view change says who is a member now
        except ShoalError as error:
            for running in leaving:  # abandoned: everything is as it was
                if not running.ended:
                    self._fleet.put(running, InstanceState.ACTIVE)
            if not (isinstance(error, PlanAbandonedError) and self._somebody_died()):
                await self.discard(joining)
            raise
        await self.dismiss(leaving, report, stop_leavers=stop_leavers)
        return status

    async def dismiss(self, leavers: Sequence[Running], report: Report, *, stop_leavers: bool) -> None:
        """After the plan: leavers lose their packet rings, and end or stay as drained ones."""
        if stop_leavers:
            if leavers:
                report(OperationUpdate("stop", f"ending {counted(len(leavers))}"))
            await self.discard(leavers)
            return
        for running in leavers:
            await running.client.detach_packets()
            self._fleet.put(running, InstanceState.DRAINED)  # a splitter that starts now makes it no ring
            await self._splitter.detach(running)

    async def dismiss_left_over(self, instances: Sequence[Running]) -> None:
        """Those that were started for a plan that never came, and leavers of one that was completed, of which an
        earlier controller may have dismissed some."""
        ending = (InstanceState.STARTING, InstanceState.JOINING, InstanceState.STOPPING)

        def useless(running: Running) -> bool:
            removed = running.stored.state is InstanceState.DRAINED and running.ended  # but for the store's word of it
            return removed or running.stored.state in ending

        await self.discard([each for each in instances if useless(each)])
        for drained in self._fleet.in_state(InstanceState.DRAINED):
            if drained in instances:
                with contextlib.suppress(ShoalError):  # it is asked again when it is removed
                    await self.dismiss([drained], lambda _: None, stop_leavers=False)

    async def discard(self, instances: Sequence[Running]) -> None:
        """Ends instances that hold nothing."""

        async def one(running: Running) -> None:
            if not running.ended:
                with contextlib.suppress(ShoalError):
                    await running.client.detach_packets()
            with contextlib.suppress(ShoalError):
                await self._splitter.detach(running)
            await self._fleet.stop(running)

        await asyncio.gather(*(one(running) for running in instances))


def check_count(config: Config, count: int, there: int) -> None:
    """Whether so many may be wanted."""
    if count > MEMBERS_MAX:
        raise NoRoomError(f"at most {MEMBERS_MAX} instances: {count} asked for, {counted(there)} there")
    if count < 1:
        raise InvalidRequestError("at least one instance: `shoal down` ends all")
    if count > 1 and config.plane == "local":
        raise InvalidRequestError("plane local: nothing is shared, so there can be one instance only")


def counted(number: int) -> str:
    return f"{number} instance" if number == 1 else f"{number} instances"


def observer(report: Report) -> Callable[[PlanStatus], None]:
    """Tells of a plan's progress: each stage, and within one what has changed, at most ten times a second."""
    last: PlanStatus | None = None

    def observe(status: PlanStatus) -> None:
        nonlocal last
        same_stage = last is not None and last.state is status.state
        if same_stage and last is not None and status.duration_ms - last.duration_ms < 100:
            return
        last = status
        text = f"{status.steering_redirected} of {status.steering_moved} steering slots redirected"
        if status.reason:
            text += f"; {status.reason}"
        report(
            OperationUpdate(status.state.value, text, status.steering_redirected, status.steering_moved, plan=status)
        )

    return observe
