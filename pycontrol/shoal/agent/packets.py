# SPDX-License-Identifier: BSD-3-Clause
"""The packet ring from the splitter: fetched at the splitter's socket, which stays open; its closing is the splitter's
end."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shoal.descriptor_socket import DescriptorSocket
from shoal.errors import RefusedError
from shoal.process_host import ControlThread, cancelled
from shoal_dataplane import DataplaneError, Instance

DEADLINE_S: Final = 5.0


def _attach_ring(instance: Instance, descriptor: int) -> None:
    """Where an attempt was broken off before, its ring may be there still."""
    try:
        instance.attach_packet_ring(descriptor)
    except DataplaneError as error:
        if error.code != errno.EEXIST:
            raise
        instance.detach_packet_ring()
        instance.attach_packet_ring(descriptor)


class Packets:
    """The instance's end. `ended` is called when the splitter has died."""

    def __init__(self, thread: ControlThread, ended: Callable[[], None]) -> None:
        self._thread = thread
        self._ended = ended
        self._instance: Instance | None = None
        self._connection: DescriptorSocket | None = None
        self._watching: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()

    @property
    def attached(self) -> bool:
        return self._connection is not None

    async def attach(self, instance: Instance, identity: tuple[int, int, int], splitter: Path, process: int) -> None:
        """Idempotent for one splitter's process (0: any); the ring of another one is given up first. `identity`:
        cluster, member, life."""
        async with self._busy:
            present = self._connection
            if present is not None:
                if process in (0, present.pid):
                    return
                await self._give_up(present)
            await self._attach(instance, identity, splitter)

    async def _attach(self, instance: Instance, identity: tuple[int, int, int], splitter: Path) -> None:
        async with asyncio.timeout(DEADLINE_S):
            connection = await DescriptorSocket.connect(splitter)
            try:
                await connection.send(dict(zip(("cluster", "member", "life"), identity, strict=True)))
                answer, descriptor = await connection.receive()
                if descriptor is None:
                    raise RefusedError(f"the splitter refused: {answer.get('refused', 'no reason given')}")
                try:
                    await self._thread.run(_attach_ring, instance, descriptor)
                finally:
                    os.close(descriptor)
            except BaseException:
                connection.close()
                raise
        self._instance, self._connection = instance, connection
        self._watching = asyncio.create_task(self._watch(connection), name="watch splitter")

    async def _watch(self, connection: DescriptorSocket) -> None:
        parted = await connection.wait_end()
        async with self._busy:
            if self._connection is connection:
                await self._give_up(connection)
                if not parted:
                    self._ended()

    async def _give_up(self, connection: DescriptorSocket) -> None:
        """The ring's other end has gone, or is to be left."""
        self._connection = None
        if self._watching is not asyncio.current_task():
            await cancelled(self._watching)
        await connection.goodbye()
        assert self._instance is not None
        await self._thread.run(self._instance.detach_packet_ring)

    async def detach(self) -> None:
        """Idempotent."""
        async with self._busy:
            if self._connection is not None:
                await self._give_up(self._connection)

    async def close(self) -> None:
        """The process ends: the connection closes, the worker goes with its ring."""
        connection, self._connection = self._connection, None
        await cancelled(self._watching)
        if connection is not None:
            await connection.goodbye()
