# SPDX-License-Identifier: BSD-3-Clause
import asyncio
from typing import Any

import pytest

from shoal.errors import NoRoomError
from shoal.event_log import KEPT, WATCHERS_MAX, EventLog
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


async def test_only_so_many_may_watch_and_one_that_leaves_makes_room() -> None:
    log = EventLog()
    log.add("a", "x", "one")
    watches = [log.watch(0) for _ in range(WATCHERS_MAX)]
    for watch in watches:
        assert (await anext(watch)).text == "one"
    with pytest.raises(NoRoomError, match=f"at most {WATCHERS_MAX}"):
        await anext(log.watch(0))
    closing: Any = watches[0]
    await closing.aclose()
    assert (await anext(log.watch(0))).text == "one"
