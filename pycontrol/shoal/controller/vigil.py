# SPDX-License-Identifier: BSD-3-Clause
"""Watches over members on several hosts (docs/between-hosts.md). Each round it gives them the controller's voice and
hears whom they don't hear.

  suspect   two hosts have not heard each other for a lease: told, and nothing more; their channels resume by
            themselves
  fence     after `dead_after` those that are cut off get no voice any more; all others are told to answer them no
            more. Persisted first
  dead      once a majority has done so, and a lease and a margin later: they have stopped by themselves. A view change
            follows
  return    the process of one that was declared dead learns of it, waits until it can reach the others, and ends; a new
            life takes its place"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from shoal.controller.config import Config
from shoal.controller.fleet import Fleet, Running
from shoal.controller.suspicion import Witness, cut_off, majority, silent_pairs
from shoal.errors import ShoalError, StaleTermError
from shoal.event_log import EventLog
from shoal.model import FenceState, InstanceState
from shoal.process_host import cancelled, log_unforeseen

PERIOD_MAX_S: Final = 1.0
ROUNDS_EACH_LEASE: Final = 4
MARGIN: Final = 0.25  # of a lease: clocks differ, and a poll takes its time
RETRY_S: Final = 0.05


class Mourners(Protocol):
    """What the vigil needs of the recovery."""

    def members(self) -> tuple[Running, ...]: ...

    def maps(self) -> tuple[frozenset[str], ...]:
        """Names of the members of each map in force."""
        ...

    def note(self, running: Running | None = None) -> None: ...


class Vigil:
    """Of one deployment. `usurped` is called when another controller reigns."""

    def __init__(self, fleet: Fleet, recovery: Mourners, events: EventLog, usurped: Callable[[], None]) -> None:
        self._fleet = fleet
        self._recovery = recovery
        self._events = events
        self._usurped = usurped
        self._config: Config | None = None
        self._task: asyncio.Task[None] | None = None
        self._fencing: asyncio.Task[None] | None = None
        self._silent: set[tuple[str, str]] = set()
        self.fenced = 0

    def start(self, config: Config) -> None:
        """Where there is one host only, there is nothing to watch."""
        if self._task is None and config.lease_ms:
            self._config = config
            self._task = asyncio.create_task(self._run(config), name="vigil")

    async def stop(self) -> None:
        task, self._task = self._task, None
        fencing, self._fencing = self._fencing, None
        await cancelled(task, fencing)
        self._silent.clear()

    @property
    def silent(self) -> int:
        """Pairs of hosts that don't hear each other."""
        return len(self._silent)

    async def _run(self, config: Config) -> None:
        period_s = min(PERIOD_MAX_S, config.lease_ms / 1000 / ROUNDS_EACH_LEASE)
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                await self._round(config, period_s)
                await asyncio.sleep(max(0.0, began + period_s - loop.time()))
        except StaleTermError:
            self._usurped()

    # --- one round

    async def _round(self, config: Config, deadline_s: float) -> None:
        try:
            await asyncio.gather(*(self._speak(running, deadline_s) for running in self._fleet.instances))
            self._judge(config)
        except StaleTermError:
            raise
        except Exception as error:
            log_unforeseen(error, "vigil")
            self._events.add("vigil.failed", "vigil", str(error))

    async def _speak(self, running: Running, deadline_s: float) -> None:
        """To those that are no longer to work, nothing is said until they are dead to all others."""
        doomed = running.stored.state is InstanceState.FENCED and not running.fenced
        if doomed or running.process is None or running.process.ended or not running.configured:
            running.fence = None
            return
        try:
            answer = await running.client.keep_alive(running.clock_ns, deadline_s, declared_dead=running.fenced)
        except StaleTermError:
            raise
        except ShoalError:
            running.fence = None
            return
        before, running.fence, running.clock_ns = running.fence_state, answer, answer.clock_ns
        running.fence_state = answer.state
        if answer.state is FenceState.HOLDING and before is FenceState.OPEN:
            text = "it hears no majority: it touches no packet until it does"
            self._events.add("instance.holding", running.stored.name, text)
        elif answer.state is FenceState.OPEN and before is FenceState.HOLDING:
            self._events.add("instance.working", running.stored.name, "it hears a majority again, and goes on")

    def _witnesses(self) -> list[Witness]:
        return [
            Witness(
                running.stored.name,
                running.stored.member,
                running.stored.host,
                running.objects,
                running.fence.silent_ms if running.fence is not None else None,
            )
            for running in self._recovery.members()
            if not running.ended
        ]

    def _judge(self, config: Config) -> None:
        witnesses = self._witnesses()
        self._tell_of(silent_pairs(witnesses, config.lease_ms), {witness.host for witness in witnesses})
        if self._fencing is not None and not self._fencing.done():
            return
        pending = {each.stored.name for each in self._recovery.members() if each.doomed}
        doomed = pending or cut_off(witnesses, self._maps(), config.between_hosts.dead_after_ms)
        if doomed:
            self._fencing = asyncio.create_task(self._fence(config, doomed), name="fence")

    def _maps(self) -> list[frozenset[int]]:
        """Without those whose processes have ended: they can't work."""
        numbers = {each.stored.name: each.stored.member for each in self._recovery.members() if not each.ended}
        return [frozenset(numbers[name] for name in names if name in numbers) for names in self._recovery.maps()]

    def _tell_of(self, pairs: Collection[tuple[str, str]], hosts: Collection[str]) -> None:
        """`hosts`: those that have members; of others there is nothing to be heard."""
        for one, other in sorted(set(pairs) - self._silent):
            self._events.add("host.suspect", other, f"{one} and {other} do not hear each other", other=one)
        for one, other in sorted(pair for pair in self._silent - set(pairs) if set(pair) <= set(hosts)):
            self._events.add("host.heard", other, f"{one} and {other} hear each other again", other=one)
        self._silent = set(pairs)

    # --- the fence

    async def _fence(self, config: Config, names: Collection[str]) -> None:
        """Until they are dead."""
        try:
            doomed = [running for running in self._recovery.members() if running.stored.name in names]
            for running in doomed:
                self._doom(running)
                host = running.stored.host
                text = f"host {host} is cut off: it is taken for dead once the others no longer answer it"
                self._events.add("instance.fenced", running.stored.name, text, host=host)
            self._recovery.note()
            await self._until_left_out(doomed)
            await asyncio.sleep(config.lease_ms * (1 + MARGIN) / 1000)
            members = self._recovery.members()  # it may have left by a plan that came to its end meanwhile
            for running in (each for each in doomed if each in members):
                self._doom(running)  # which may have said otherwise
                if not running.ended:
                    self.fenced += 1
                    running.fenced, running.ended_ns = True, time.time_ns()
                    running.reason = "its host was cut off from the others"
                    self._recovery.note(running)
        except StaleTermError:
            self._usurped()

    def _doom(self, running: Running) -> None:
        if running.stored.state is not InstanceState.FENCED and not running.ended:
            self._fleet.put(running, InstanceState.FENCED)

    async def _until_left_out(self, doomed: Sequence[Running]) -> None:
        """Until a majority of each map answers them no more."""
        dead = {running.stored.member: running.stored.life for running in doomed}
        told: set[int] = set()
        others = [running for running in self._recovery.members() if running not in doomed]
        tasks = [
            asyncio.create_task(self._tell(each, dead, told), name=f"fence at {each.stored.name}") for each in others
        ]
        try:
            while not all(majority(members, told) for members in self._maps()):
                if all(running.ended for running in doomed):
                    return
                await asyncio.sleep(RETRY_S)
        finally:
            await cancelled(*tasks)

    @staticmethod
    async def _tell(running: Running, dead: dict[int, int], told: set[int]) -> None:
        while not running.ended:
            try:
                await running.client.fence(dead)
            except StaleTermError:
                return
            except ShoalError:
                await asyncio.sleep(RETRY_S)
            else:
                told.add(running.stored.member)
                return
