# SPDX-License-Identifier: BSD-3-Clause
"""Back to what is wanted: after a death, after a controller's return, and where an operation was broken off. What does
not succeed is tried again, after longer and longer pauses, until it does."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from shoal.errors import StaleTermError
from shoal.event_log import EventLog
from shoal.model import OperationUpdate
from shoal.process_host import cancelled, log_unforeseen

FIRST_S: Final = 0.5
LONGEST_S: Final = 30.0


class Restoration:
    """Of one deployment. `reach` brings it to what is wanted, in its turn; `usurped` is called when another controller
    reigns."""

    def __init__(
        self,
        reach: Callable[[], Awaitable[OperationUpdate]],
        events: EventLog,
        usurped: Callable[[], None],
        first_s: float = FIRST_S,
    ) -> None:
        self._reach = reach
        self._events = events
        self._usurped = usurped
        self._first_s = first_s
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="restoration")

    async def stop(self) -> None:
        task, self._task = self._task, None
        await cancelled(task)
        self._due.clear()

    def due(self) -> None:
        """Something may not be as it is wanted."""
        self._due.set()

    async def _run(self) -> None:
        pause_s: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._reach()
            except StaleTermError:
                self._usurped()
                return
            except Exception as error:
                log_unforeseen(error, "restoration")
                pause_s = self._first_s if pause_s is None else min(2 * pause_s, LONGEST_S)
                self._events.add("operation.failed", "restore what is wanted", f"{error}; again in {pause_s:g} s")
            else:
                pause_s = None
