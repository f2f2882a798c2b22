# SPDX-License-Identifier: BSD-3-Clause
"""The packet ring from the splitter: fetched at the splitter's socket, which stays open; its closing is the splitter's
end."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shoal.descriptor_socket import DescriptorSocket
from shoal.errors import RefusedError
from shoal.process_host import ControlThread, cancelled
from shoal_dataplane import Instance

DEADLINE_S: Final = 5.0


class Packets:
    """The instance's end. `ended` is called when the splitter has died."""

    def __init__(self, thread: ControlThread, ended: Callable[[], None]) -> None:
        self._thread = thread
        self._ended = ended
        self._instance: Instance | None = None
        self._connection: DescriptorSocket | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def attached(self) -> bool:
        return self._connection is not None

    async def attach(self, instance: Instance, identity: tuple[int, int, int], splitter: Path) -> None:
        """Idempotent. `identity`: cluster, member, life."""
        if self.attached:
            return
        async with asyncio.timeout(DEADLINE_S):
            connection = await DescriptorSocket.connect(splitter)
            try:
                await connection.send(dict(zip(("cluster", "member", "life"), identity, strict=True)))
                answer, descriptor = await connection.receive()
                if descriptor is None:
                    raise RefusedError(f"the splitter refused: {answer.get('refused', 'no reason given')}")
                try:
                    await self._thread.run(instance.attach_packet_ring, descriptor)
                finally:
                    os.close(descriptor)
            except BaseException:
                connection.close()
                raise
        self._instance, self._connection = instance, connection
        self._watching = asyncio.create_task(self._watch(connection), name="watch splitter")

    async def _watch(self, connection: DescriptorSocket) -> None:
        parted = await connection.wait_end()
        connection.close()
        if self._connection is not connection:
            return
        self._connection = None
        assert self._instance is not None
        await self._thread.run(self._instance.detach_packet_ring)
        if not parted:
            self._ended()

    async def detach(self) -> None:
        """Idempotent."""
        connection, self._connection = self._connection, None
        await cancelled(self._watching)
        if connection is not None:
            await connection.goodbye()
            assert self._instance is not None
            await self._thread.run(self._instance.detach_packet_ring)

    async def close(self) -> None:
        """The process ends: the connection closes, the worker goes with its ring."""
        connection, self._connection = self._connection, None
        await cancelled(self._watching)
        if connection is not None:
            await connection.goodbye()
