# SPDX-License-Identifier: BSD-3-Clause
"""This instance's part in what happens between hosts (docs/between-hosts.md). Once it was declared dead its process
stays, and does nothing, until the others' hosts can be reached again; then it ends, and a new life can begin."""

import asyncio
import contextlib
from typing import Final

from shoal.agent.checks import check_dead
from shoal.agent.peers import FENCED, Peers
from shoal.agent.worker import Worker
from shoal.errors import RefusedError
from shoal.event_log import EventLog
from shoal.model import FenceProgress
from shoal.process_host import ControlThread, cancelled
from shoal.proto import instance_pb2

KNOCK_DEADLINE_S: Final = 1.0
KNOCK_PERIOD_S: Final = 0.5


class Fencing:
    """Of one started instance. `stop` ends the process."""

    def __init__(
        self, worker: Worker, peers: Peers, thread: ControlThread, events: EventLog, stop: asyncio.Event
    ) -> None:
        self._worker = worker
        self._peers = peers
        self._thread = thread
        self._events = events
        self._stop = stop
        self._waiting: asyncio.Task[None] | None = None

    async def keep_alive(self, asked_ns: int) -> FenceProgress:
        return await self._thread.run(self._worker.instance.keep_alive, asked_ns)

    async def leave_out(self, request: instance_pb2.FenceRequest) -> None:
        """Nothing is sent to these members any more, answers neither: soon none of them may work."""
        check_dead(request.dead)
        dead = {each.member: each.life for each in request.dead}
        if self._worker.config.member in dead:
            raise RefusedError(f"member {self._worker.config.member} can't leave itself out")
        await self._peers.end(dead, FENCED)

    async def shut(self) -> None:
        """This life was declared dead. Idempotent."""
        if self._waiting is not None:
            return
        before = await self.keep_alive(0)
        await self._thread.run(self._worker.instance.fence)
        if self._waiting is None:
            text = "it was declared dead: it touches no packet any more"
            state, held_ms = before.state.name.lower(), str(before.held_ms)
            self._events.add("fence.shut", self._worker.config.name, text, before=state, held_ms=held_ms)
            self._waiting = asyncio.create_task(self._until_reachable(), name="wait for the other hosts")

    async def _until_reachable(self) -> None:
        hosts = dict(self._peers.addresses)
        while not all(await asyncio.gather(*(_answers(address, port) for address, port in hosts.items()))):
            await asyncio.sleep(KNOCK_PERIOD_S)
        self._events.add("fence.healed", self._worker.config.name, "the other hosts answer: this life ends")
        self._stop.set()

    async def close(self) -> None:
        await cancelled(self._waiting)


async def _answers(address: str, port: int) -> bool:
    """Whether a host can be reached: somebody listens there, or the host says that nobody does."""
    try:
        async with asyncio.timeout(KNOCK_DEADLINE_S):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
