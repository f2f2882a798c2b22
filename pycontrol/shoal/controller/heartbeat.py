# SPDX-License-Identifier: BSD-3-Clause
"""Asks all instances how they are, once a second. One that does not answer while its process lives is stalled: that is
told and counted, and nothing more; only the end of its process is a death."""

import asyncio
from typing import Final

from shoal.controller.fleet import Fleet, Running
from shoal.errors import RefusedError, ShoalError
from shoal.event_log import EventLog
from shoal.model import InstanceState
from shoal.process_host import cancelled, log_unforeseen

PERIOD_S: Final = 1.0
DEADLINE_S: Final = 1.0


class Heartbeat:
    """Of one deployment's instances."""

    def __init__(self, fleet: Fleet, events: EventLog) -> None:
        self._fleet = fleet
        self._events = events
        self._task: asyncio.Task[None] | None = None
        self.stalls = 0

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="heartbeat")

    async def stop(self) -> None:
        task, self._task = self._task, None
        await cancelled(task)

    async def _run(self) -> None:
        while True:
            alive = [
                running
                for running in self._fleet.instances
                if not running.ended and running.stored.state is not InstanceState.STARTING
            ]
            await asyncio.gather(*(self._ask(running) for running in alive))
            await asyncio.sleep(PERIOD_S)

    async def _ask(self, running: Running) -> None:
        try:
            running.progress = await running.client.progress(DEADLINE_S)
            classes = await running.client.classes(DEADLINE_S)
        except RefusedError:
            return  # it answers, but is not configured
        except ShoalError as error:
            self._silent(running, str(error))
            return
        except Exception as error:
            log_unforeseen(error, f"heartbeat of {running.stored.name}")
            return
        running.class_objects = tuple(each.objects for each in classes)
        if running.stalled:
            running.stalled = False
            self._events.add("instance.resumed", running.stored.name, "it answers again")

    def _silent(self, running: Running, reason: str) -> None:
        if running.stalled or running.ended or running.ending:
            return
        running.stalled = True
        self.stalls += 1
        self._events.add("instance.stalled", running.stored.name, f"its process lives but does not answer: {reason}")
