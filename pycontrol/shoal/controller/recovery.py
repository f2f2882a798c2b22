# SPDX-License-Identifier: BSD-3-Clause
"""What is done when instances die: one view change after the other, until all members live (dso.md, "A worker dies").

  begin     persisted first, together with the end of the plan under way. Where nobody is left, a fresh instance starts.
  adopt     each adopter is told where its dead one's slabs lie. Where they can't be used, the next view leaves them
            out.
  death     all survivors are told; at the same time the splitter sends the packets of the dead to their heirs.
  settle    until all survivors have resumed. A death meanwhile begins the next view, which names all of the dead.
  finish    the survivors' tokens are the map. It is persisted with the report; what the dead have left is removed.

view_coordinator.py has adopt, death and settle."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from shoal.controller.fleet import Fleet, Running
from shoal.controller.mourning import CountsLedger
from shoal.controller.reorganisation import Reorganisation
from shoal.controller.splitter_keeper import SplitterKeeper
from shoal.controller.store import STAGE_COMPLETE, STAGE_HAND_OVER, Store, StoredInstance
from shoal.controller.view import Corpse, Maps, TokensError, Worker, owners, plan_view, whole
from shoal.controller.view_coordinator import DiedAgainError, Outcome, SlabRefusedError, ViewCoordinator
from shoal.controller.view_store import StoredView, ViewStore
from shoal.errors import DeadlineError, ShoalError, StaleTermError, UnreachableError
from shoal.event_log import EventLog
from shoal.model import Deaths, InstanceState
from shoal.process_host import cancelled, log_unforeseen

FAILURE_PAUSE_S: Final = 1.0
_MEMBERS: Final = (InstanceState.ACTIVE, InstanceState.LEAVING, InstanceState.FENCED)
CUT_OFF: Final = "its host is cut off, and its process may live"


class Recovery:
    """Of one deployment. `fresh` starts an instance that is to adopt where nobody is left; `shrinks`: whether the dead
    are not to be replaced; `recovered` is called when all members live again; `returned` when the process of one that
    was declared dead has ended; `usurped` when another controller reigns."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        reorganisation: Callable[[], Reorganisation],
        splitter: Callable[[], SplitterKeeper],
        events: EventLog,
        *,
        fresh: Callable[[], Awaitable[Running]],
        shrinks: Callable[[], bool],
        recovered: Callable[[Deaths], None],
        returned: Callable[[], None],
        usurped: Callable[[], None],
    ) -> None:
        self._store = store
        self._views = ViewStore(store)
        self._fleet = fleet
        self._reorganisation = reorganisation
        self._splitter = splitter
        self._events = events
        self._fresh = fresh
        self._shrinks = shrinks
        self._recovered = recovered
        self._returned = returned
        self._usurped = usurped
        self.ledger = CountsLedger()
        self._refusals: dict[int, str] = {}  # life → why its slabs can't be used
        self._died = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._task: asyncio.Task[None] | None = None
        self._burials: set[asyncio.Task[None]] = set()
        self.completed = 0
        self.seconds = 0.0
        self.current: StoredView | None = None

    # --- what there is

    async def settled(self) -> None:
        """Waits until no view change is under way, or due."""
        await self._settled.wait()

    def deaths(self) -> tuple[Deaths, ...]:
        return self._views.deaths()

    def members(self) -> tuple[Running, ...]:
        """Whoever takes part in a view change, dead or alive."""
        names = frozenset[str]().union(*self.maps())
        return tuple(running for running in self._present if running.stored.name in names)

    @property
    def _present(self) -> list[Running]:
        return [running for running in self._fleet.instances if not running.ending]

    def maps(self) -> tuple[frozenset[str], ...]:
        """Names of the members of each map in force."""
        view, plan = self._views.view(), self._store.plan()
        if view is not None:
            return (frozenset((*view.survivors, *(corpse.worker.name for corpse in view.corpses))),)
        if plan is not None and plan.stage == STAGE_HAND_OVER:
            return frozenset(plan.members_now), frozenset(plan.members_next)
        if plan is not None and plan.stage == STAGE_COMPLETE:
            return (frozenset(plan.members_next),)
        return (frozenset(running.stored.name for running in self._present if running.stored.state in _MEMBERS),)

    @property
    def steering(self) -> bytes | None:
        """Where packets go while a view change is under way."""
        view = self._views.view()
        return view.plan.steering if view is not None else None

    # --- life

    def start(self) -> None:
        """Looks at what there is, and from then on whenever somebody dies."""
        if self._task is None:
            self.note()
            self._task = asyncio.create_task(self._run(), name="recovery")

    async def stop(self) -> None:
        task, self._task = self._task, None
        await cancelled(task, *self._burials)
        self._settled.set()

    def note(self, running: Running | None = None) -> None:
        """An instance has died, or will have."""
        if running is not None:
            self._reorganisation().interrupt(running.stored.name)
        if self._views.view() is not None or any(member.ended or member.doomed for member in self.members()):
            self._settled.clear()
        self._died.set()

    async def _run(self) -> None:
        while True:
            await self._died.wait()
            self._died.clear()
            try:
                await self._settle()
                self._settled.set()
            except StaleTermError:
                self._usurped()
                return
            except Exception as error:
                log_unforeseen(error, "recovery")
                self._events.add("view.failed", "view", str(error))
                await asyncio.sleep(FAILURE_PAUSE_S)
                self._died.set()

    async def _settle(self) -> None:
        """Views until all members live."""
        while True:
            await self._reorganisation().quiet()
            self._died.clear()
            view, members = self._views.view(), self.members()
            dead = [running for running in members if running.ended]
            if view is None and not dead:
                if not any(running.doomed for running in members):
                    return
                await self._died.wait()
                continue
            alive = [running for running in members if not running.ended]
            if view is None or not _fits(view, dead, alive) or self._refused(view):
                view = await self._begin(view, dead, alive or [await self._fresh()])
            self.current = view
            try:
                outcome = await self._until_died(view)
            except DiedAgainError:
                continue
            except SlabRefusedError as error:
                worker = error.corpse.worker
                self._refusals[worker.life] = str(error)
                self._events.add("slab.refused", worker.name, str(error), directory=error.corpse.slab_directory)
                continue
            self._finish(view, outcome)

    def _refused(self, view: StoredView) -> bool:
        """Whether the view relies on slabs that were found to be of no use."""
        return any(
            corpse.worker.life in self._refusals and corpse.worker.member in view.plan.adopters
            for corpse in view.corpses
        )

    async def _until_died(self, view: StoredView) -> Outcome:
        """Carries it out; breaks off when one of its survivors dies."""
        survivors = self._survivors(view)
        coordinator = ViewCoordinator(view, survivors, self._splitter().client, self._store.term)
        task = asyncio.create_task(coordinator.run(), name=f"view {view.number}")
        try:
            while not task.done():
                dying = asyncio.create_task(self._died.wait(), name="another death")
                await asyncio.wait((task, dying), return_when=asyncio.FIRST_COMPLETED)
                await cancelled(dying)
                self._died.clear()
                if any(running.ended for running in survivors):
                    raise DiedAgainError("a survivor died")
            return await task
        finally:
            await cancelled(task)

    def _survivors(self, view: StoredView) -> list[Running]:
        return [self._fleet.get(name) for name in view.survivors]

    # --- begin

    async def _begin(self, before: StoredView | None, dead: Sequence[Running], alive: Sequence[Running]) -> StoredView:
        corpses = [self._corpse(running) for running in dead]
        maps = await self._maps(before)
        view = StoredView(
            number=self._store.draw("view"),
            epoch=self._store.draw("epoch"),
            corpses=tuple(corpses),
            survivors=tuple(running.stored.name for running in alive),
            plan=plan_view(corpses, [_worker(running) for running in alive], maps),
            owner_now=maps.owner_now,
            owner_next=maps.owner_next,
            started_ns=before.started_ns if before else min(running.ended_ns for running in dead),
        )
        self._views.begin(view)
        self._reorganisation().forget_steering()
        self.current = view
        names = ", ".join(running.stored.name for running in dead)
        self._events.add("view.started", str(view.number), f"{names} died; {len(alive)} survivors", dead=names)
        return view

    def _corpse(self, running: Running) -> Corpse:
        refusal = self._refusals.get(running.stored.life, CUT_OFF if running.process_lives else "")
        directory = running.stored.slab_directory if not refusal else ""
        return Corpse(_worker(running), directory, refusal or ("" if directory else "it left none"))

    async def _maps(self, before: StoredView | None) -> Maps:
        if before is not None:
            return Maps(before.owner_now, before.owner_next, before.plan.steering)
        deployment, plan = self._store.deployment(), self._store.plan()
        assert deployment is not None
        now = deployment.owner or whole(deployment.steering)
        if plan is None or plan.stage != STAGE_HAND_OVER:
            return Maps(now, now, deployment.steering)
        following = plan.steering_next
        if not plan.epoch_now:
            return Maps(whole(following), whole(following), following)
        steering = self._reorganisation().steering
        if steering is None:
            steering = await self._ask_splitter(plan.steering_now, following)
        return Maps(now, whole(following), steering)

    async def _ask_splitter(self, now: bytes, following: bytes) -> bytes:
        """Where packets go of a plan that an earlier controller began."""
        client = self._splitter().client
        if client is None:
            return following
        try:
            pending = (await client.redirect_progress()).pending_slots
            table = (await client.report()).table
        except (UnreachableError, DeadlineError):
            return now
        return bytes(
            following[slot] if slot in pending or table[slot] == following[slot] else now[slot]
            for slot in range(len(now))
        )

    # --- finish

    def _finish(self, view: StoredView, outcome: Outcome) -> None:
        survivors, progress = self._survivors(view), outcome.progress
        held = {running.stored.member: progress[running.stored.name].tokens for running in survivors}
        try:
            owner = owners(held)
        except TokensError as error:
            raise ShoalError(f"view {view.number} left a map with a fault: {error}") from error
        deaths = self._report(view, outcome)
        now = [
            replace(
                running.stored,
                state=InstanceState.ACTIVE,
                counts=self.ledger.to_text(progress[running.stored.name].counts),
            )
            for running in survivors
        ]
        self._views.finish(view, owner, now, deaths, self._outcasts(view), shrinks=self._shrinks())
        for running, stored in zip(survivors, now, strict=True):
            running.stored = stored
        self._reorganisation().forget_steering()
        self.current = None
        self.completed += 1
        self.seconds += deaths.duration_ms / 1000
        self.ledger.add(deaths)
        self._tell_of(view, deaths)
        self._bury(view, survivors)
        self._recovered(deaths)

    def _outcasts(self, view: StoredView) -> list[StoredInstance]:
        """The dead whose processes live, on hosts that are cut off."""
        lives = {corpse.worker.life for corpse in view.corpses}
        return [each.stored for each in self._fleet.instances if each.stored.life in lives and each.process_lives]

    def _report(self, view: StoredView, outcome: Outcome) -> Deaths:
        names = {running.stored.member: running.stored.name for running in self._survivors(view)}
        reasons = {running.stored.life: running.reason for running in self._fleet.instances}
        return self.ledger.report(
            view,
            duration_ms=(time.time_ns() - view.started_ns) / 1e6,
            adopters={member: names[adopter] for member, adopter in view.plan.adopters.items()},
            reasons=reasons,
            last_heard={running.stored.life: running.class_objects for running in self._fleet.instances},
            before={running.stored.name: running.stored.counts for running in self._survivors(view)},
            after=outcome.progress,
            classes=outcome.classes,
        )

    def _tell_of(self, view: StoredView, deaths: Deaths) -> None:
        for dead in deaths.instances:
            text = f"{dead.adopter} took over what it held" if dead.adopter else f"not adopted: {dead.refusal}"
            self._events.add("instance.died", dead.name, f"{dead.reason}; {text}", member=str(dead.member))
        fields = {
            f"{each.class_name}.{what}": str(getattr(each, what))
            for each in deaths.classes
            for what in ("adopted", "checked", "rejected", "lost", "rolled_back")
        }
        self._events.add(
            "view.completed",
            str(view.number),
            f"all survivors go on after {deaths.duration_ms:.0f} ms; " + _sentence(deaths),
            duration_ms=f"{deaths.duration_ms:.1f}",
            **fields,
        )

    def _bury(self, view: StoredView, survivors: Sequence[Running]) -> None:
        """What is left of the dead goes, in the background: nobody waits for it."""
        lives = {corpse.worker.life for corpse in view.corpses}
        gone = [running for running in self._fleet.instances if running.stored.life in lives]
        for running in gone:
            running.stored = replace(running.stored, state=InstanceState.ENDED)

        async def work() -> None:
            await _end_view(survivors, view.number, view.dead)
            for each in gone:
                if each.process_lives:
                    self.await_return(each)
                else:
                    await self._fleet.bury(each)

        self._keep(asyncio.create_task(work(), name=f"burial of view {view.number}"))

    async def finish_burials(self) -> None:
        """What an earlier controller had not done yet. Before anything is started: it may get the name of a dead."""
        await self._fleet.bury_forgotten()
        dead: dict[int, int] = {}  # the last life of each member that died
        for deaths in self.deaths():
            dead |= {each.member: each.life for each in deaths.instances}
        if dead:
            work = _end_view(self._fleet.in_state(*_MEMBERS), self.deaths()[-1].view, dead)
            self._keep(asyncio.create_task(work, name="end of earlier views"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    def await_return(self, outcast: Running) -> None:
        """One that was declared dead while its process lived ends it when it can reach the others again. A new life
        may begin then."""

        async def work() -> None:
            assert outcast.process is not None
            await outcast.process.wait()
            self._store.remove_instance(outcast.stored.name)
            await self._fleet.bury(outcast)
            self._returned()

        self._keep(asyncio.create_task(work(), name=f"return of {outcast.stored.name}"))


async def _end_view(survivors: Sequence[Running], view: int, dead: Mapping[int, int]) -> None:
    for each in survivors:
        with contextlib.suppress(ShoalError):
            await each.client.end_view(view, dead)


def _worker(running: Running) -> Worker:
    stored = running.stored
    return Worker(stored.name, stored.member, stored.life, stored.host, running.objects)


def _fits(view: StoredView, dead: Sequence[Running], alive: Sequence[Running]) -> bool:
    """Whether a view that was begun names exactly those who have died, and all who live."""
    lives = {running.stored.life for running in dead} == set(view.dead.values())
    return lives and {running.stored.name for running in alive} == set(view.survivors)


def _sentence(deaths: Deaths) -> str:
    def total(what: str) -> int:
        return sum(getattr(each, what) for each in deaths.classes)

    lost = f"{'at least ' if any(each.at_least for each in deaths.classes) else ''}{total('lost')}"
    return f"{total('adopted')} objects adopted, {total('rejected')} rejected, {lost} lost"
