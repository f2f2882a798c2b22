# SPDX-License-Identifier: BSD-3-Clause
"""The events of one process: the last ones are kept, watchers get new ones as they come."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from shoal.errors import NoRoomError
from shoal.model import Event

KEPT: Final = 2000
WATCHERS_MAX: Final = 64


class EventLog:
    """Of one event loop. `clock` gives nanoseconds since the Unix epoch."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._sequence = 0
        self._grown = asyncio.Condition()
        self._closed = False
        self._watchers = 0

    def add(self, kind: str, subject: str, text: str, /, **fields: str) -> Event:
        self._sequence += 1
        event = Event(self._sequence, self._clock(), kind, subject, text, fields)
        self._events.append(event)
        self._wake()
        return event

    def _wake(self) -> None:
        async def notify() -> None:
            async with self._grown:
                self._grown.notify_all()

        task = asyncio.get_running_loop().create_task(notify(), name="notify watchers")
        self._notifying = task

    @property
    def last(self) -> int:
        """Number of the latest event; 0: none yet."""
        return self._sequence

    def after(self, sequence: int) -> tuple[Event, ...]:
        """Events later than `sequence` that are still kept."""
        return tuple(event for event in self._events if event.sequence > sequence)

    async def watch(self, sequence: int) -> AsyncIterator[Event]:
        """Kept events later than `sequence`, then new ones, until the log is closed. NoRoomError: too many watch."""
        if self._watchers >= WATCHERS_MAX:
            raise NoRoomError(f"at most {WATCHERS_MAX} may watch events at once")
        self._watchers += 1
        try:
            async for event in self._watch(sequence):
                yield event
        finally:
            self._watchers -= 1

    async def _watch(self, sequence: int) -> AsyncIterator[Event]:
        while True:
            for event in self.after(sequence):
                sequence = event.sequence
                yield event
            async with self._grown:
                if self._closed:
                    return
                if not self.after(sequence):
                    await self._grown.wait()

    def close(self) -> None:
        """Ends all watches once they have given what there is."""
        self._closed = True
        self._wake()
