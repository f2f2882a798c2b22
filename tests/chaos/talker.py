# SPDX-License-Identifier: BSD-3-Clause
"""Connections that talk all the time and know how long each was silent.

`talker.py SERVER PORT CONNECTIONS PAUSE_MS SOURCE…` opens connections from the sources in turn; each sends a line,
waits for the answer, pauses, and so on. Prints {"ready": N} once all had an answer. Commands come on standard input:

  gaps   {"gaps": [[public, milliseconds], …]}: of each connection that lives, the longest time between two answers
         (or since the last one) since the last `gaps`
  mark   {"mark": N, "slow": […], "silent": […]}: when all had another answer, or failed: how many live, and the public
         endpoints of those that had not come to either after SLOW_S, and after MARK_S, when it is told in any case
  renew  {"renewed": [{"number", "source", "public", "answers", "fault"}]}: those that failed since the last `renew`;
         another is opened for each

The end of standard input ends it with {"connections": [{"source", "public", "answers", "fault"}]}.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

from tests.smoke.traffic_client import ANSWER_DEADLINE_S, CONNECT_DEADLINE_S, Conversation, Conversations, commands, say

MS = 1000.0
SLOW_S = 5.0  # nobody's limit
MARK_S = CONNECT_DEADLINE_S + ANSWER_DEADLINE_S + 5  # by then each has had an answer, or failed


class Talker(Conversations):
    """Conversations with their silences. Each begins a little after the one before, so that none waits for its turn."""

    def __init__(self, sources: list[str], connections: int, pause_s: float) -> None:
        super().__init__(sources, connections)
        self._pause_s = pause_s
        self._last: dict[int, float] = {}
        self._longest: dict[int, float] = {}
        self._renewed: set[int] = set()
        self._begin: Callable[[int], object] = lambda _: None

    def begin(self, group: asyncio.TaskGroup, server: str, port: int) -> None:
        self._begin = lambda number: group.create_task(self._talk(number, server, port))
        for number in range(len(self.all)):
            self._begin(number)

    def renew(self) -> list[dict[str, object]]:
        failed = [number for number, each in enumerate(self.all) if each.fault and number not in self._renewed]
        for number in failed:
            self._renewed.add(number)
            self.all.append(Conversation(self.all[number].source))
            self._begin(len(self.all) - 1)
        return [{"number": number, **asdict(self.all[number])} for number in failed]

    async def mark(self) -> dict[str, object]:
        before = {number: each.answers for number, each in enumerate(self.all)}

        def silent() -> list[str]:
            waited = [self.all[number] for number, had in before.items() if self.all[number].answers == had]
            return [each.public or each.source for each in waited if not each.fault]

        answering = asyncio.create_task(self.another_answer())
        await asyncio.wait((answering,), timeout=SLOW_S)
        slow = silent()
        await asyncio.wait((answering,), timeout=MARK_S - SLOW_S)
        answering.cancel()
        return {"mark": sum(not each.fault for each in self.all), "slow": slow, "silent": silent()}

    async def _talk(self, number: int, server: str, port: int) -> None:
        conversation = self.all[number]
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                reader, writer = await asyncio.open_connection(server, port, local_addr=(conversation.source, 0))
            writer.write(b"converse\n")
            while not self._ending:
                await self._exchange(conversation, reader, writer)
                self._note(number)
                await asyncio.sleep(self._pause_s)
            writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            conversation.fault = f"{type(error).__name__}: {error} after {conversation.answers} answers"
            async with self._progress:
                self._progress.notify_all()

    def _note(self, number: int) -> None:
        now = time.monotonic()
        silence = now - self._last.get(number, now)
        self._last[number] = now
        self._longest[number] = max(self._longest.get(number, 0.0), silence)

    def gaps(self) -> list[tuple[str, float]]:
        """Of those that live, in milliseconds beyond the pause; starts anew."""
        now = time.monotonic()
        found = []
        for number, conversation in enumerate(self.all):
            if not conversation.fault and number in self._last:
                longest = max(self._longest.get(number, 0.0), now - self._last[number])
                found.append((conversation.public, round(max(0.0, longest - self._pause_s) * MS, 1)))
        self._longest.clear()
        return found


async def answer(talker: Talker, line: bytes) -> None:
    if line == b"gaps\n":
        say(gaps=talker.gaps())
    elif line == b"renew\n":
        say(renewed=talker.renew())
    else:
        say(**await talker.mark())


async def main(server: str, port: int, talker: Talker) -> None:
    async with asyncio.TaskGroup() as group:
        talker.begin(group, server, port)
        say(ready=await talker.another_answer())
        reader = await commands()
        while line := await reader.readline():
            await answer(talker, line)
        talker.end()
    say(connections=[asdict(conversation) for conversation in talker.all])


__all__ = ["Conversation", "Talker"]

if __name__ == "__main__":
    host, port_text, connections_text, pause_text, *addresses = sys.argv[1:]
    made = Talker(addresses, int(connections_text), int(pause_text) / MS)
    asyncio.run(main(host, int(port_text), made))
