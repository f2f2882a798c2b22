# SPDX-License-Identifier: BSD-3-Clause
"""Carries out one plan, stage by stage (dso.md, "Slots have tokens"):

  learn      all members of either map; barrier. Only here may it be abandoned.
  hand over  persisted first. As the tokens of a steering slot arrive at its new member, the splitter redirects it;
             when all of a leaver's are redirected, it hears that its last marker is back. Ends when all say DONE.
  drain      "complete" persisted first. Leavers, which own nothing by now, read no device any more and finish what they
             have in hand: not sooner, or what arrives meanwhile would be lost at their devices; not later, since for
             what waits in them they need their channels.
  forget     The old map goes, and with it the channels to leavers.

Every command may be repeated: a plan that an earlier controller began is carried on with the same calls. Where a member
dies, the plan is over in its first two stages (a view change takes its place), and completed in its last one. While the
splitter is away nothing is redirected; a fresh one goes on where the last one ended."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from shoal.controller.instance_client import InstanceClient, LearnCommand
from shoal.controller.planner import SteeringPlan, expected_objects
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.store import STAGE_COMPLETE, STAGE_HAND_OVER, STAGE_LEARN, StoredPlan
from shoal.controller.view import whole
from shoal.errors import DeadlineError, NoRoomError, RefusedError, ShoalError, StaleTermError, UnreachableError
from shoal.model import Peer, PlanState, PlanStatus, Progress, RedirectProgress, Stage

R = TypeVar("R")

POLL_S: Final = 0.002
RETRY_S: Final = 0.05
ABANDON_TRIES: Final = 3
DRAIN_DEADLINE_S: Final = 5.0  # what waits for an object gives up before that


@dataclass(frozen=True, slots=True)
class Member:
    """One instance that the plan concerns."""

    name: str
    number: int
    client: InstanceClient
    ended: Callable[[], bool]


class Journal(Protocol):
    """Where a plan's stages are persisted."""

    def hand_over(self, plan: StoredPlan) -> StoredPlan: ...

    def complete(self, plan: StoredPlan) -> StoredPlan: ...

    def end(self) -> None: ...


class PlanAbandonedError(RefusedError):
    """Not all could learn it: everything is as it was."""


class PlanNoRoomError(NoRoomError):
    """Abandoned because a member has no room for what the next map would bring it."""


class PlanOverError(RefusedError):
    """A member died: where tokens lie is what its survivors say, not the plan."""


class Coordinator:
    """One plan. `observe` gets each new status."""

    def __init__(
        self,
        plan: StoredPlan,
        members: Mapping[str, Member],
        splitter: SplitterClient | None,
        journal: Journal,
        observe: Callable[[PlanStatus], None],
    ) -> None:
        self._plan = plan
        self._members = members
        self._splitter = splitter
        self._journal = journal
        self._observe = observe
        steering = SteeringPlan(plan.steering_now, plan.steering_next)
        self._slots = SteeringPlan(plan.owner_now or whole(plan.steering_now), whole(plan.steering_next))
        self._moves = dict(steering.moves)
        self._redirected: set[int] = set()
        self._pending: frozenset[int] = frozenset()
        self._told: set[str] = set()
        self._baseline: dict[str, Progress] = {}
        self._hindrance = ""
        self._started = time.monotonic()
        joining = [name for name in plan.members_next if name not in plan.members_now]
        leaving = [name for name in plan.members_now if name not in plan.members_next]
        self.status = PlanStatus(
            number=plan.number,
            epoch=plan.epoch_next,
            kind=plan.kind,
            state=PlanState.QUEUED,
            joining=tuple(joining),
            leaving=tuple(leaving),
            slots_moved=len(self._slots.moves) if plan.epoch_now else 0,
            steering_moved=len(self._moves) if plan.epoch_now else 0,
            started_ns=time.time_ns(),
        )

    @property
    def names(self) -> Collection[str]:
        """Of all members of either map."""
        return self._members.keys()

    @property
    def stage(self) -> int:
        """As it was persisted last."""
        return self._plan.stage

    @property
    def steering(self) -> bytes:
        """Where the packets of each steering slot go, or will go once its redirection has ended."""
        table = bytearray(self._plan.steering_now)
        if self._plan.stage == STAGE_COMPLETE:
            return self._plan.steering_next
        for slot in self._redirected:
            table[slot] = self._plan.steering_next[slot]
        return bytes(table)

    @property
    def leavers(self) -> tuple[Member, ...]:
        return tuple(self._members[name] for name in self.status.leaving)

    def _update(self, **changes: object) -> None:
        elapsed = (time.monotonic() - self._started) * 1000
        self.status = replace(self.status, duration_ms=elapsed, **changes)  # type: ignore[arg-type]
        self._observe(self.status)

    async def run(self, peers_for: Callable[[str], Mapping[str, Peer]]) -> PlanStatus:
        """Runs it from its stage to its end. `peers_for(name)`: the plan's members as that one reaches them."""
        if self._plan.stage == STAGE_LEARN:
            await self._learn(peers_for)
            self._plan = self._journal.hand_over(self._plan)
        if self._plan.stage == STAGE_HAND_OVER:
            await self._hand_over()
            self._plan = self._journal.complete(self._plan)
        assert self._plan.stage == STAGE_COMPLETE
        self._update(state=PlanState.COMPLETE, tokens_left=0, slots_unswept=0, reason="")
        await asyncio.gather(*(self._drain(leaver) for leaver in self.leavers))
        await self._forget()
        self._journal.end()
        return self.status

    async def abandon(self, reason: str) -> None:
        """Stage 1 only: everybody keeps the present map, the epoch's number is never used again."""
        self._update(state=PlanState.ABANDONED, reason=reason)
        await asyncio.gather(*(self._abandon_at(member) for member in self._members.values()))
        self._journal.end()

    async def interrupted(self, names: Collection[str]) -> None:
        """Members have died, and `run` was broken off in one of its first two stages."""
        reason = f"{', '.join(names)} died during the plan"
        if self._plan.stage != STAGE_LEARN:
            self._update(state=PlanState.OVER, reason=reason)
        elif not set(names) & set(self._plan.members_now):
            await self.abandon(reason)
        else:
            # The view change abandons it at the members that there are; of joiners it knows nothing.
            self._update(state=PlanState.ABANDONED, reason=reason)
            await asyncio.gather(*(self._abandon_at(self._members[name]) for name in self.status.joining))

    async def _abandon_at(self, member: Member) -> None:
        for _ in range(ABANDON_TRIES):
            if member.ended():
                return
            try:
                await member.client.abandon(self._plan.epoch_next)
            except UnreachableError:
                await asyncio.sleep(RETRY_S)
            except ShoalError:
                return  # it never learnt of it
            else:
                return

    async def _learn(self, peers_for: Callable[[str], Mapping[str, Peer]]) -> None:
        self._update(state=PlanState.LEARNING)
        answers = await asyncio.gather(
            *(self._learn_at(member, peers_for(name)) for name, member in self._members.items()),
            return_exceptions=True,
        )
        faults = [answer for answer in answers if isinstance(answer, BaseException)]
        if not faults:
            return
        first = next((fault for fault in faults if isinstance(fault, NoRoomError)), faults[0])
        await self.abandon(str(first))
        kind = PlanNoRoomError if isinstance(first, NoRoomError) else PlanAbandonedError
        raise kind(f"the plan was abandoned, nothing has changed: {first}") from first

    async def _learn_at(self, member: Member, peers: Mapping[str, Peer]) -> None:
        plan = self._plan
        objects = {}
        for name in plan.members_now:
            old = self._members[name]
            objects[old.number] = [information.objects for information in await old.client.classes()]
        command = LearnCommand(
            plan.epoch_now,
            plan.epoch_next,
            plan.steering_now,
            plan.steering_next,
            [peers[name] for name in plan.members_now],
            [peers[name] for name in plan.members_next],
            expected_objects(self._slots, objects, member.number),
            plan.owner_now,
        )
        await member.client.learn(command)

    async def _hand_over(self) -> None:
        await self._before_hand_over()
        self._update(state=PlanState.HANDING_OVER)
        await self._all(lambda member: member.client.hand_over(self._plan.epoch_next))
        while True:
            progress = await self._all(lambda member: member.client.progress())
            await self._redirect(progress)
            await self._tell_leavers()
            self._account(progress)
            if self._is_done(progress):
                return
            await asyncio.sleep(POLL_S)

    async def _before_hand_over(self) -> None:
        """What has been moved so far; what the splitter has done already, if an earlier controller began."""
        self._baseline = await self._all(lambda member: member.client.progress())
        if self._splitter is None:
            self._redirected = set(self._moves)
            return
        splitter = self._splitter
        self._pending = (
            await self._until_splitter_answers(lambda: splitter.redirect_progress(reset=True))
        ).pending_slots
        self._compare((await self._until_splitter_answers(splitter.report)).table)

    def _compare(self, table: bytes) -> None:
        """What the splitter's table says counts: a steering slot that is elsewhere than it should be moves, too."""
        if self._plan.epoch_now:
            for slot, (present, new) in enumerate(zip(table, self._plan.steering_next, strict=True)):
                if present != new:
                    self._moves[slot] = (present, new)
        self._redirected = {slot for slot, (_, new) in self._moves.items() if table[slot] == new}

    async def _redirect(self, progress: Mapping[str, Progress]) -> None:
        """Steering slots whose tokens have all arrived go to their new member."""
        if self._splitter is None:
            return
        try:
            await self._redirect_at(self._splitter, progress)
            self._hindrance = ""
        except StaleTermError:
            raise
        except ShoalError as error:
            self._hindrance = str(error)  # it is being replaced, or was a moment ago: the next one is asked

    async def _redirect_at(self, splitter: SplitterClient, progress: Mapping[str, Progress]) -> None:
        arrived: dict[int, set[int]] = {}
        numbers = {member.number: progress[name].steering_ready for name, member in self._members.items()}
        for slot, (_, new) in self._moves.items():
            if slot not in self._redirected and slot not in self._pending and slot in numbers[new]:
                arrived.setdefault(new, set()).add(slot)
        if self._plan.epoch_now == 0:
            if sum(map(len, arrived.values())) == len(self._moves):
                await splitter.set_table(self._plan.steering_next)
                self._redirected = set(self._moves)
        else:
            for new, slots in arrived.items():
                await splitter.redirect(frozenset(slots), new)
                self._redirected |= slots
        self._note(await splitter.redirect_progress())

    async def _until_splitter_answers(self, question: Callable[[], Awaitable[R]]) -> R:
        while True:
            try:
                return await question()
            except UnreachableError:
                await asyncio.sleep(RETRY_S)

    def _note(self, redirect: RedirectProgress) -> None:
        self._pending = redirect.pending_slots
        if redirect.parked_most > self.status.parked_most:
            self.status = replace(self.status, parked_most=redirect.parked_most)

    def _gone_from(self, number: int) -> bool:
        """Whether every steering slot that leaves this member is redirected and its marker back."""
        slots = {slot for slot, (old, _) in self._moves.items() if old == number}
        return slots <= self._redirected and not slots & self._pending

    async def _tell_leavers(self) -> None:
        for leaver in self.leavers:
            if leaver.name not in self._told and self._gone_from(leaver.number):
                await self._until_answered(leaver, lambda member: member.client.markers_back(self._plan.epoch_next))
                self._told.add(leaver.name)

    def _is_done(self, progress: Mapping[str, Progress]) -> bool:
        redirected = self._redirected >= set(self._moves) and not self._pending & set(self._moves)
        finished = all(each.stage in (Stage.DONE, Stage.LEFT) for each in progress.values())
        return redirected and finished and len(self._told) == len(self.leavers)

    def _account(self, progress: Mapping[str, Progress]) -> None:
        def grown(field: str) -> int:
            return sum(getattr(progress[name], field) - getattr(self._baseline[name], field) for name in progress)

        waiting = [f"{name}: {each.waiting_for}" for name, each in progress.items() if each.waiting_for]
        self._update(
            steering_redirected=len(self._redirected - self._pending) if self._plan.epoch_now else 0,
            tokens_left=sum(each.tokens_to_receive for each in progress.values()),
            slots_unswept=sum(each.slots_unswept for each in progress.values()),
            objects_moved=grown("records_moved") + grown("leases_moved"),
            bytes_moved=grown("bytes_moved"),
            reason="; ".join([*filter(None, [self._hindrance]), *waiting][:3]),
        )

    async def _drain(self, leaver: Member) -> None:
        """What it can't finish in time is dropped with its process, and counted there."""
        until = time.monotonic() + DRAIN_DEADLINE_S
        with contextlib.suppress(PlanOverError):
            while not (left := await self._until_answered(leaver, lambda member: member.client.drain())).empty:
                self._update(reason=f"{leaver.name} has {left.packets} packets and {left.requests} requests in hand")
                if time.monotonic() > until:
                    return
                await asyncio.sleep(POLL_S)
            self._update(reason="")

    async def _forget(self) -> None:
        left = [leaver.number for leaver in self.leavers]
        stays = [member for name, member in self._members.items() if name in self._plan.members_next]
        await self._forget_at(stays, left)
        await self._forget_at(self.leavers, [member.number for member in self._members.values()])

    async def _forget_at(self, members: Sequence[Member], left: Sequence[int]) -> None:
        """Each on its own: the plan is complete even where one dies now."""

        async def one(member: Member) -> None:
            with contextlib.suppress(PlanOverError):
                await self._until_answered(member, lambda member: member.client.forget(self._plan.epoch_next, left))

        await asyncio.gather(*(one(member) for member in members))

    async def _at(
        self, members: Sequence[Member], command: Callable[[Member], Awaitable[Progress]]
    ) -> dict[str, Progress]:
        """A command to several at once."""
        answers = await asyncio.gather(
            *(self._until_answered(member, command) for member in members), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return {
            member.name: answer
            for member, answer in zip(members, answers, strict=True)
            if not isinstance(answer, BaseException)
        }

    async def _all(self, command: Callable[[Member], Awaitable[Progress]]) -> dict[str, Progress]:
        return await self._at(tuple(self._members.values()), command)

    async def _until_answered(self, member: Member, command: Callable[[Member], Awaitable[R]]) -> R:
        """From stage 2 on there is no way back: asks again until the member answers, or has ended. One that is silent
        is asked for as long as its process lives."""
        while True:
            try:
                return await command(member)
            except (UnreachableError, DeadlineError) as error:
                if member.ended():
                    raise PlanOverError(f"{member.name} died during the plan") from error
                await asyncio.sleep(RETRY_S)
