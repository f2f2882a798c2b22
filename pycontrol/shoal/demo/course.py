# SPDX-License-Identifier: BSD-3-Clause
"""The course of a demo: traffic on, a phase, an event, a phase …; and the document that it gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from shoal.client import Client
from shoal.demo.observer import Observed, Observer
from shoal.demo.settings import STEPS, DemoSettings
from shoal.demo.traffic import Profile, TrafficState
from shoal.errors import ShoalError
from shoal.model import PlanStatus
from shoal.report.document import Balance, Document, Phase, ScalingEvent

WARM_UP_S: Final = 2.0
TRIAL_S: Final = 3.0
TRIALS_MAX: Final = 5
SLIP_MAX: Final = 0.02
"""Share of the time by which the generator's schedule may slip; more, and the rate is too high for this machine."""
IN_HAND: Final = 0.9
SLOWER: Final = 0.6


@dataclass(frozen=True)
class Stretch:
    """A phase as it was observed: its times and the traffic's books at both ends."""

    name: str
    instances: int
    start: TrafficState
    end: TrafficState

    def phase(self) -> Phase:
        seconds = self.end.elapsed_s - self.start.elapsed_s
        return Phase(
            name=self.name,
            instances=self.instances,
            offered_pps=round((self.end.sent - self.start.sent) / seconds, 1),
            achieved_pps=round((self.end.received - self.start.received) / seconds, 1),
            latency_us=self.end.latency.since(self.start.latency).percentiles(),
        )


class Course:
    """Runs a demo on a deployment that is up with one instance."""

    def __init__(self, client: Client, settings: DemoSettings, tell: Callable[[Observed, str], None]) -> None:
        self._client = client
        self._settings = settings
        self._doing = ""
        self._observer = Observer(client, lambda observed: tell(observed, self._doing))
        self._stretches: list[Stretch] = []
        self._events: list[ScalingEvent] = []

    @property
    def observed(self) -> Observed:
        return self._observer.observed

    async def run(self, profile: Profile) -> Document:
        """ShoalError where something does not work at all; what goes wrong with packets is in the document."""
        rate = await self._find_rate(profile)
        await self._start(profile, rate)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._observer.watch(), name="observer")
            await self._phase(STEPS[0], first=True)
            for before, after in pairwise(STEPS):
                await self._scale(before, after)
                await self._phase(after)
            watching.cancel()
        self._doing = "traffic stops; waiting for the last packets"
        await self._client.stop_traffic()
        await self._observer.sample()
        return self._document()

    async def _find_rate(self, profile: Profile) -> float:
        """The rate that was asked for, or the most that one instance carries here without loss."""
        rate = float(self._settings.packets_per_second)
        for _ in range(TRIALS_MAX):
            self._doing = f"trying {rate:,.0f} packets/s on one instance"
            await self._start(profile, rate)
            await self._watch_for(TRIAL_S)
            await self._client.stop_traffic()
            state = await self._state()
            if state.lost:
                rate *= SLOWER
            elif state.slipped_s > SLIP_MAX * state.elapsed_s:
                # The generator itself could not keep up: no more than it did, and something in hand.
                return rate * IN_HAND * (1 - state.slipped_s / state.elapsed_s)
            else:
                return rate
        raise ShoalError(f"not even {rate / SLOWER:,.0f} packets/s get through one instance without loss")

    async def _start(self, profile: Profile, rate: float) -> None:
        before = await self._client.statistics()
        await self._client.start_traffic(profile.name, profile.streams, profile.options(rate))
        self._observer.start(before)

    async def _state(self) -> TrafficState:
        return TrafficState.parse((await self._client.traffic()).document)

    async def _watch_for(self, seconds: float) -> None:
        until = self._observer.now_s + seconds
        while self._observer.now_s < until:
            await self._observer.sample()
            await asyncio.sleep(min(0.5, max(0.0, until - self._observer.now_s)))

    async def _phase(self, instances: int, *, first: bool = False) -> None:
        name = (
            f"{instances} {'instance' if instances == 1 else 'instances'}{'' if first or instances > 1 else ' again'}"
        )
        if first:
            self._doing = "warming up"
            await asyncio.sleep(WARM_UP_S)
        self._doing = name
        start = await self._state()
        await asyncio.sleep(self._settings.phase_s)
        self._stretches.append(Stretch(name, instances, start, await self._state()))

    async def _scale(self, before: int, after: int) -> None:
        kind = f"{before} → {after}"
        start_s = self._observer.now_s
        watching = asyncio.create_task(self._observer.watch_closely(), name="observer of an event")
        try:
            plan = await self._carry_out(kind, after)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        self._observer.event(kind, start_s)
        duration_ms = round(plan.duration_ms, 3)
        self._events.append(ScalingEvent(kind, duration_ms, plan.slots_moved, plan.objects_moved, plan.parked_most))

    async def _carry_out(self, kind: str, instances: int) -> PlanStatus:
        plan: PlanStatus | None = None
        async for update in self._client.scale("demo", instances):
            self._doing = f"{kind}: {update.text}"
            plan = update.plan or plan
        if plan is None:
            raise ShoalError(f"scaling {kind} ended without a plan")
        return plan

    def _document(self) -> Document:
        observed = self._observer.observed
        assert observed.traffic is not None
        traffic = observed.traffic
        return Document(
            loss_packets=traffic.lost,
            order_violations=traffic.order_violations,
            mapping_violations=traffic.mapping_violations,
            phases=tuple(stretch.phase() for stretch in self._stretches),
            events=tuple(self._events),
            instances=observed.ledger.instances,
            balance=Balance(traffic.sent, traffic.received, observed.ledger.drops),
        )
