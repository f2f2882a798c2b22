# SPDX-License-Identifier: BSD-3-Clause
"""Watches a run through the controller: its traffic, its instances, its statistics. Changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from shoal.client import Client
from shoal.demo.figures import Ledger
from shoal.demo.traffic import TrafficState
from shoal.model import ClusterStatus, ComponentStatistics, InstanceState
from shoal.report.timeline import ClusterSample, Span, Timeline

PERIOD_S: Final = 0.5
CLOSE_PERIOD_S: Final = 0.05
SERVING: Final = (InstanceState.ACTIVE, InstanceState.LEAVING)


@dataclass
class Observed:
    """What is known of the run so far."""

    timeline: Timeline
    ledger: Ledger
    status: ClusterStatus | None = None
    traffic: TrafficState | None = None


class Observer:
    """Samples until it is cancelled. `tell` is called after each sample."""

    def __init__(self, client: Client, tell: Callable[[Observed], None]) -> None:
        self._client = client
        self._tell = tell
        self._started = time.monotonic()
        self.observed = Observed(Timeline(), Ledger())

    @property
    def now_s(self) -> float:
        """Seconds since the traffic started."""
        return time.monotonic() - self._started

    def start(self, before: Sequence[ComponentStatistics]) -> None:
        """The traffic starts now; what components had counted before it is none of its own."""
        self._started = time.monotonic()
        self.observed = Observed(Timeline(), Ledger(before))

    async def watch(self) -> None:
        while True:
            await self.sample()
            await asyncio.sleep(PERIOD_S)

    async def sample(self) -> None:
        """Asks for everything once."""
        observed = self.observed
        report = await self._client.traffic()
        observed.traffic = TrafficState.parse(report.document)
        observed.timeline.traffic[:] = observed.traffic.rows
        await self._sample_cluster()
        self._tell(observed)

    async def _sample_cluster(self) -> None:
        observed = self.observed
        status = observed.status = await self._client.status()
        observed.ledger.enter(await self._client.statistics())
        serving = [each for each in status.instances if each.state in SERVING]
        observed.timeline.cluster.append(
            ClusterSample(self.now_s, len(serving), observed.ledger.objects_moved, observed.ledger.parked)
        )

    async def watch_closely(self) -> None:
        """Statistics alone, many times a second: the last ones of an instance that is about to end."""
        while True:
            await self._sample_cluster()
            await asyncio.sleep(CLOSE_PERIOD_S)

    def event(self, kind: str, start_s: float) -> None:
        """An event has ended now."""
        self.observed.timeline.events.append(Span(kind, start_s, self.now_s))
