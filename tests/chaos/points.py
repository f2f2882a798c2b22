# SPDX-License-Identifier: BSD-3-Clause
"""The controller dies at every point of a deed: right before, and right after, each commit of its store, one point
after the other, until the deed is done without reaching the next one. After each death packets go on without it,
`shoal up` brings it back, and the deployment becomes as it was before the deed, or as it shall be after it: nothing
else, and nothing is left over.

doom/sitecustomize.py kills it there. How many commits there are is found by doing it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shoal.errors import ShoalError
from shoal.model import ClusterStatus, InstanceState, InstanceStatus
from tests.chaos.belongings import Belongings
from tests.smoke.mortal import CONFIG, Mortal

DOOM = Path(__file__).with_name("doom")
DONE_S = 90.0
PACKETS = 1000  # after which flows have gone on
TOKENS = 16384
FAULTS_MAX = 5  # of one deed, after which the rest is not worth the time
# Something that the controller has tried, and could not do.
FAILURES = frozenset(("operation.failed", "view.failed", "splitter.failed", "splitter.refused", "slab.refused"))


class Doom:
    """Where the controller is to die, told to whichever controller is at work or begins."""

    def __init__(self, folder: Path) -> None:
        self._point, self._died = folder / "point", folder / "died"
        self._folder = folder
        path = os.pathsep.join(filter(None, (str(DOOM), os.environ.get("PYTHONPATH"))))
        self.environment = {"SHOAL_TEST_DOOM": str(folder), "PYTHONPATH": path}

    def put(self, number: int, *, after: bool, **more: Any) -> None:
        """`more`: `within`, `victim`."""
        self.lift()
        self._died.unlink(missing_ok=True)
        draft = self._folder / "draft"
        draft.write_text(json.dumps({"number": number, "after": after, **more}))
        draft.replace(self._point)

    def lift(self) -> None:
        self._point.unlink(missing_ok=True)

    @property
    def met(self) -> str:
        """At what the controller died; "": it has not."""
        return self._died.read_text() if self._died.exists() else ""


@dataclass(frozen=True)
class Outcome:
    """How a deployment may be afterwards. Instances are given by their places before it: names change with deaths."""

    count: int  # of active instances, and as many wanted
    gone: frozenset[int] = frozenset()  # whose processes there are no more
    drained: frozenset[int] = frozenset()

    def fits(self, before: ClusterStatus | None, status: ClusterStatus) -> bool:
        """`before`: None: there was nothing."""
        states: dict[InstanceState, list[InstanceStatus]] = {}
        for each in status.instances:
            states.setdefault(each.state, []).append(each)
        active, drained = states.pop(InstanceState.ACTIVE, []), states.pop(InstanceState.DRAINED, [])
        quiet = status.plan is None and not status.view and not status.plans_waiting and not states
        whole = sum(each.tokens for each in active) == TOKENS and len(active) == status.instances_wanted == self.count
        processes = {each.name: each.process for each in status.instances}
        earlier = before.instances if before else ()
        same = all(
            (processes.get(each.name) == each.process) is (place not in self.gone) for place, each in enumerate(earlier)
        )
        return quiet and whole and same and {each.name for each in drained} == {earlier[at].name for at in self.drained}


Act = Callable[[Mortal], Coroutine[Any, Any, bool]]


def scaled(count: int) -> Act:
    return lambda deployment: deployment.operate(lambda client: client.scale("nat", count))


def removed(name: str) -> Act:
    return lambda deployment: deployment.operate(lambda client: client.remove(name))


def drained(name: str) -> Act:
    return lambda deployment: deployment.operate(lambda client: client.drain(name))


@dataclass(frozen=True)
class Deed:
    """Something that is done to a deployment. `act` says whether it was acknowledged as done."""

    name: str
    act: Act
    after: Outcome
    before: Outcome | None = None  # None: there is no way back to it
    count: int = 3  # of instances at first
    on_death: str = "replace"
    prepare: Callable[[Mortal, Doom], Awaitable[None]] | None = None  # before points count
    from_nothing: bool = False  # nothing is up before it
    victim: int | None = None  # index of the instance that dies when a plan's second stage has been persisted

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        return (self.after, self.before) if self.before else (self.after,)


@dataclass
class Walk:
    """Of one deed, from point to point."""

    folder: Path
    deed: Deed
    met: list[str] = field(default_factory=list)  # each point at which the controller died
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.doom = Doom(self.folder)

    async def all(self) -> None:
        """To the last point. AssertionError: something was not as it shall be at some of them, or there is none."""
        start = time.monotonic()
        points = ((number, after) for number in itertools.count(1) for after in (False, True))
        while await self._some(points):
            pass
        print(f"{self.deed.name}: {len(self.met)} points in {time.monotonic() - start:.0f} s")
        print("\n".join(self.met))
        assert not self.faults, "\n\n".join([f"{len(self.faults)} faults", *self.faults])
        assert self.met, f"{self.deed.name}: the controller writes nothing, so there is no point to die at"

    async def _some(self, points: Iterator[tuple[int, bool]]) -> bool:
        """With one deployment until a fault is found, which may have spoilt it. False: all is done."""
        point = "at first"
        try:
            async with self._deployed() as deployment:
                for number, after in points:
                    point = f"{'after' if after else 'before'} commit {number}"
                    if not await self._point(deployment, number, after=after):
                        return False
                    self.met.append(f"  {point}: {self.doom.met}")
        except (AssertionError, ShoalError, TimeoutError, OSError) as error:
            self.faults.append(f"{self.deed.name}, {point}: {self.doom.met}: {error}")
        return len(self.faults) < FAULTS_MAX

    @contextlib.asynccontextmanager
    async def _deployed(self) -> AsyncIterator[Mortal]:
        deed = self.deed
        text = CONFIG.format(count=deed.count, on_death=deed.on_death, ring_bytes=4 << 20)
        made = Mortal(self.folder, text, environment=self.doom.environment)
        belongings = Belongings(made)
        try:
            if deed.from_nothing:
                yield made
            else:
                await made.good("up", str(made.file))
                async with made.sending():
                    yield made
            belongings.note()
        finally:
            self.doom.lift()
            await made.good("down")
        await belongings.all_gone()
        assert not made.directory.path.exists()

    async def _point(self, deployment: Mortal, number: int, *, after: bool) -> bool:
        """Whether it was reached."""
        deed = self.deed
        before = await self._prepared(deployment)
        victim = {"victim": before.instances[deed.victim].process} if before and deed.victim is not None else {}
        self.doom.put(number, after=after, **victim)
        acting = asyncio.create_task(deed.act(deployment), name=deed.name)
        try:
            reached = await self._reached(deployment, before, acting)
            acknowledged = await acting
        finally:
            self.doom.lift()
            acting.cancel()
        if reached:
            await self._comes_back(deployment, before, acknowledged=acknowledged)
        return reached

    async def _prepared(self, deployment: Mortal) -> ClusterStatus | None:
        """As before the deed. None: there is nothing."""
        deed = self.deed
        if deed.from_nothing:
            await deployment.good("down")
            return None
        status = await deployment.status()
        for each in status.instances:
            if each.state is InstanceState.DRAINED:
                assert await removed(each.name)(deployment)
        if status.instances_wanted != deed.count:
            assert await scaled(deed.count)(deployment)
        status = await deployment.until_whole(deed.count)
        if deed.prepare is not None:
            await deed.prepare(deployment, self.doom)
        return status

    async def _reached(self, deployment: Mortal, before: ClusterStatus | None, acting: asyncio.Task[bool]) -> bool:
        """Waits until the controller is dead, or all is as it shall be after the deed."""
        status = None
        try:
            async with asyncio.timeout(DONE_S):
                while not self.doom.met:
                    with contextlib.suppress(ShoalError):
                        status = await deployment.status()
                        if acting.done() and self.deed.after.fits(before, status):
                            return False
                    await asyncio.sleep(0.02)
        except TimeoutError:
            story = f"{status}{await deployment.story()}{deployment.logs()}"
            raise AssertionError(f"neither died nor done within {DONE_S:.0f} s: {story}") from None
        return True

    async def _comes_back(self, deployment: Mortal, before: ClusterStatus | None, *, acknowledged: bool) -> None:
        deed, belongings = self.deed, Belongings(deployment)
        if before is not None and deed.count > 1:
            await deployment.flows_go_on_without_controller(PACKETS)
        await deployment.good("up", str(deployment.file))
        outcomes = (deed.after,) if acknowledged else deed.outcomes

        def fits(status: ClusterStatus) -> bool:
            return any(each.fits(before, status) for each in outcomes)

        await deployment.until(fits, f"one of {outcomes}")
        await belongings.all_known()
        async with contextlib.AsyncExitStack() as stack:
            if deed.from_nothing:
                await stack.enter_async_context(deployment.sending())
            await deployment.flows_go_on(PACKETS)
        await deployment.until(fits, f"one of {outcomes}, and so it remains")
        failures = [each for each in await deployment.events() if each.kind in FAILURES]
        assert not failures, f"{failures}{await deployment.story()}"
