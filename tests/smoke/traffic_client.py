# SPDX-License-Identifier: BSD-3-Clause
"""The client of the smoke tests. Prints JSON lines; commands come on standard input, and its end ends the client.

`traffic_client.py download SERVER PORT SOURCE BYTES` prints {"public"} once connected, {"bytes"} at each percent, and
at last {"sha256", "bytes", "ended"} with the time.

`traffic_client.py converse SERVER PORT CONNECTIONS SOURCE…` opens connections from the sources in turn, each of which
sends a line, waits for the answer, and so on. The line `publics` is answered by {"publics": [[source, public], …]}.
It prints {"ready": N} when all had an answer; for each line on standard input {"mark": N} when all had another answer
since; at the end a summary: {"connections": [{"source", "public", "answers", "fault"}]}.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass

CONNECT_DEADLINE_S = 20.0
ANSWER_DEADLINE_S = 30.0
PAUSE_S = 0.05


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


async def commands() -> asyncio.StreamReader:
    """Standard input as a stream."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def download(server: str, port: int, source: str, length: int) -> None:
    async with asyncio.timeout(CONNECT_DEADLINE_S):
        reader, writer = await asyncio.open_connection(server, port, local_addr=(source, 0), limit=1 << 20)
        writer.write(f"download {length}\n".encode())
        say(public=(await reader.readline()).decode().strip())
    hashed, received, told = hashlib.sha256(), 0, 0
    while received < length:
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            data = await reader.read(1 << 18)
        if not data:
            break
        hashed.update(data)
        received += len(data)
        if received * 100 // length > told:
            told = received * 100 // length
            say(bytes=received)
    writer.close()
    say(sha256=hashed.hexdigest(), bytes=received, ended=time.monotonic())


@dataclass
class Conversation:
    """One connection that goes on exchanging lines. `fault` says why it did not."""

    source: str
    public: str = ""
    answers: int = 0
    fault: str = ""


class Conversations:
    """All connections, and who waits for each to have had another answer."""

    def __init__(self, sources: list[str], connections: int) -> None:
        self.all = [Conversation(sources[number % len(sources)]) for number in range(connections)]
        self._ending = False
        self._progress = asyncio.Condition()

    async def hold(self, conversation: Conversation, server: str, port: int) -> None:
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                reader, writer = await asyncio.open_connection(server, port, local_addr=(conversation.source, 0))
            writer.write(b"converse\n")
            while not self._ending:
                await self._exchange(conversation, reader, writer)
                await asyncio.sleep(PAUSE_S)
            writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            conversation.fault = f"{type(error).__name__}: {error} after {conversation.answers} answers"
            async with self._progress:
                self._progress.notify_all()

    async def _exchange(
        self, conversation: Conversation, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        line = f"{conversation.source} says {conversation.answers}"
        writer.write(f"{line}\n".encode())
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            answer = (await reader.readline()).decode()
        public, _, rest = answer.partition(" ")
        if rest != f"{line}\n":
            raise ValueError(f"answer {answer!r} to {line!r}")
        if conversation.public not in ("", public):
            raise ValueError(f"public endpoint {conversation.public} became {public}")
        conversation.public = public
        conversation.answers += 1
        async with self._progress:
            self._progress.notify_all()

    async def another_answer(self) -> int:
        """Waits until each connection had another answer, or failed; how many live."""
        before = [conversation.answers for conversation in self.all]

        def all_moved() -> bool:
            pairs = zip(self.all, before, strict=True)
            return all(conversation.answers > had or conversation.fault for conversation, had in pairs)

        async with self._progress:
            await self._progress.wait_for(all_moved)
        return sum(not conversation.fault for conversation in self.all)

    def end(self) -> None:
        self._ending = True


async def converse(server: str, port: int, connections: int, sources: list[str]) -> None:
    conversations = Conversations(sources, connections)
    async with asyncio.TaskGroup() as group:
        for conversation in conversations.all:
            group.create_task(conversations.hold(conversation, server, port))
        say(ready=await conversations.another_answer())
        reader = await commands()
        while line := await reader.readline():
            if line == b"publics\n":
                say(publics=[(conversation.source, conversation.public) for conversation in conversations.all])
            else:
                say(mark=await conversations.another_answer())
        conversations.end()
    say(connections=[asdict(conversation) for conversation in conversations.all])


if __name__ == "__main__":
    mode, host, number, *rest = sys.argv[1:]
    if mode == "download":
        asyncio.run(download(host, int(number), rest[0], int(rest[1])))
    else:
        asyncio.run(converse(host, int(number), int(rest[0]), rest[1:]))
