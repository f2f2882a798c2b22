# SPDX-License-Identifier: BSD-3-Clause
import asyncio

from shoal.event_log import KEPT, EventLog
from shoal.model import Event


async def test_a_watcher_gets_what_was_and_what_comes_until_the_log_closes() -> None:
    log = EventLog(clock=lambda: 5)
    log.add("a", "x", "one")

    async def watch() -> list[Event]:
        return [event async for event in log.watch(0)]

    async with asyncio.timeout(5):
        task = asyncio.create_task(watch())
        await asyncio.sleep(0)
        log.add("b", "y", "two", kind="field")
        log.close()
        events = await task
    assert [(event.sequence, event.kind, event.time_ns) for event in events] == [(1, "a", 5), (2, "b", 5)]
    assert events[1].fields == {"kind": "field"}


async def test_only_the_last_events_are_kept() -> None:
    log = EventLog()
    for number in range(KEPT + 10):
        log.add("a", "x", str(number))
    assert [event.sequence for event in log.after(0)] == list(range(11, KEPT + 11))
    assert [event.sequence for event in log.after(KEPT + 8)] == [KEPT + 9, KEPT + 10]
    assert log.last == KEPT + 10
