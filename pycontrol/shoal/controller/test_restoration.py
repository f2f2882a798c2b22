# SPDX-License-Identifier: BSD-3-Clause
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from shoal.controller.restoration import Restoration
from shoal.errors import RefusedError, StaleTermError
from shoal.event_log import EventLog
from shoal.model import OperationUpdate

SOON_S = 0.001
NEVER_S = 3600.0
DEADLINE_S = 10.0


class Attempts:
    """What is tried; each fails as the next of `faults` says, and succeeds when there is none left."""

    def __init__(self, *faults: Exception) -> None:
        self._faults = list(faults)
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.count = 0

    async def __call__(self) -> OperationUpdate:
        self.count += 1
        self.begun.put_nowait(self.count)
        if self._faults:
            raise self._faults.pop(0)
        return OperationUpdate("done", "", done=True)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self.begun.get() < count:
                pass


@asynccontextmanager
async def restoring(
    attempts: Attempts, events: EventLog, usurped: Callable[[], None], first_s: float
) -> AsyncIterator[Restoration]:
    restoration = Restoration(attempts, events, usurped, first_s)
    restoration.start()
    try:
        yield restoration
    finally:
        await restoration.stop()


def no_other() -> None:
    raise AssertionError("nobody else reigns")


async def test_what_fails_is_tried_again_until_it_succeeds() -> None:
    """Also an error that nobody has foreseen."""
    attempts, events = Attempts(RefusedError("one"), KeyError("two")), EventLog()
    async with restoring(attempts, events, no_other, SOON_S) as restoration:
        restoration.due()
        await attempts.until(3)
    assert [(each.kind, each.text[:3]) for each in events.after(0)] == [
        ("operation.failed", "one"),
        ("operation.failed", "'tw"),
    ]
    assert attempts.count == 3


async def test_news_do_not_wait_for_the_pause() -> None:
    attempts, events = Attempts(RefusedError("one")), EventLog()
    async with restoring(attempts, events, no_other, NEVER_S) as restoration:
        restoration.due()
        await attempts.until(1)
        restoration.due()
        await attempts.until(2)


async def test_where_another_reigns_nothing_is_tried_again() -> None:
    attempts, told = Attempts(StaleTermError(1, 2)), asyncio.Event()
    async with restoring(attempts, EventLog(), told.set, SOON_S) as restoration:
        restoration.due()
        async with asyncio.timeout(DEADLINE_S):
            await told.wait()
        assert attempts.count == 1
