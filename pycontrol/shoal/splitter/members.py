# SPDX-License-Identifier: BSD-3-Clause
"""The packet rings of the members: made on the controller's word, passed to the instance that knocks, and given up when
its connection closes."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal.descriptor_socket import DescriptorServer, DescriptorSocket
from shoal.descriptor_socket import number as number_of
from shoal.errors import RefusedError, UnreachableError
from shoal.process_host import ControlThread
from shoal_dataplane import Splitter

HELLO_DEADLINE_S: Final = 2.0


@dataclass(slots=True)
class Member:
    life: int
    descriptor: int  # owned
    connection: DescriptorSocket | None = None


class Members:
    """Who has a packet ring. `ended(member, life)` is called when an instance has died."""

    def __init__(self, socket: Path, thread: ControlThread, ended: Callable[[int, int], None]) -> None:
        self._server = DescriptorServer(socket, self._serve)
        self._thread = thread
        self._ended = ended
        self._members: dict[int, Member] = {}
        self._splitter: Splitter | None = None
        self._cluster = 0
        self._busy = asyncio.Lock()

    async def start(self, splitter: Splitter, cluster: int) -> None:
        self._splitter, self._cluster = splitter, cluster
        await self._server.start()

    @property
    def socket(self) -> Path:
        return self._server.path

    @property
    def numbers(self) -> frozenset[int]:
        return frozenset(self._members)

    async def attach(self, number: int, life: int) -> None:
        """Makes the ring. Idempotent for one life; an older life of the same number must be detached first."""
        assert self._splitter is not None
        async with self._busy:
            present = self._members.get(number)
            if present is not None:
                if present.life != life:
                    raise RefusedError(f"member {number} is attached with life {present.life}, not {life}")
                return
            descriptor = await self._thread.run(self._splitter.attach_member, number)
            self._members[number] = Member(life, descriptor)

    async def detach(self, number: int) -> None:
        """Gives the ring up. Idempotent."""
        assert self._splitter is not None
        async with self._busy:
            member = self._members.pop(number, None)
            if member is None:
                return
            if member.connection is not None:
                await member.connection.goodbye()
            os.close(member.descriptor)
            await self._thread.run(self._splitter.detach_member, number)

    async def _serve(self, connection: DescriptorSocket) -> None:
        async with asyncio.timeout(HELLO_DEADLINE_S):
            hello, stray = await connection.receive()
        if stray is not None:
            os.close(stray)
        number, life = number_of(hello, "member"), number_of(hello, "life")
        member = self._members.get(number)
        if hello.get("cluster") != self._cluster or member is None or member.life != life:
            raise RefusedError(f"no ring was made for member {number} of life {life} of that cluster")
        if member.connection is not None:
            raise RefusedError(f"member {number} has its ring already")
        member.connection = connection
        parted = False
        try:
            await connection.send({"attached": True}, member.descriptor)
            parted = await connection.wait_end()
        except UnreachableError:
            pass  # it has broken off before it had its ring
        await self._left(number, member, parted=parted)

    async def _left(self, number: int, member: Member, *, parted: bool) -> None:
        member.connection = None
        if parted or self._members.get(number) is not member:
            return
        await self.detach(number)
        self._ended(number, member.life)

    async def close(self) -> None:
        members, self._members = tuple(self._members.values()), {}
        for member in members:
            if member.connection is not None:
                await member.connection.goodbye()
            os.close(member.descriptor)
        await self._server.close()
