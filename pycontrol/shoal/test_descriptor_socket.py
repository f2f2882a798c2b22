# SPDX-License-Identifier: BSD-3-Clause
import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shoal.descriptor_socket import DescriptorServer, DescriptorSocket, Message
from shoal.errors import RefusedError, UnreachableError


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[DescriptorSocket, DescriptorSocket]]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ends = DescriptorSocket(left), DescriptorSocket(right)
    try:
        yield ends
    finally:
        for end in ends:
            end.close()


async def test_a_descriptor_crosses_with_its_message() -> None:
    async with pair() as (left, right):
        descriptor = os.memfd_create("x")
        os.write(descriptor, b"inside")
        await left.send({"member": 3}, descriptor)
        os.close(descriptor)
        message, received = await right.receive()
        assert message == {"member": 3}
        assert received is not None
        assert os.pread(received, 6, 0) == b"inside"
        os.close(received)
        assert right.pid == os.getpid()


async def test_an_end_without_goodbye_is_told_from_one_with_it() -> None:
    async with pair() as (left, right):
        left.close()
        assert await right.wait_end() is False
    async with pair() as (left, right):
        await left.goodbye()
        assert await right.wait_end() is True


async def test_what_is_no_message_is_refused() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left:
        end = DescriptorSocket(right)
        for junk in (b"{", b"[1]", b"\xff"):
            left.send(junk)
            with pytest.raises(UnreachableError, match="is no message"):
                await end.receive()
        end.close()


async def test_a_server_serves_many_and_tells_why_it_refuses(tmp_path: Path) -> None:
    async def serve(connection: DescriptorSocket) -> None:
        message, _ = await connection.receive()
        if message.get("member") == 0:
            raise RefusedError("not you")
        await connection.send(message)
        await connection.wait_end()

    async def ask(member: int) -> Message:
        connection = await DescriptorSocket.connect(tmp_path / "peers")
        try:
            await connection.send({"member": member})
            return (await connection.receive())[0]
        finally:
            connection.close()

    server = DescriptorServer(tmp_path / "peers", serve)
    await server.start()
    try:
        assert (tmp_path / "peers").stat().st_mode & 0o777 == 0o600
        answers = await asyncio.gather(*(ask(member) for member in range(8)))
    finally:
        await server.close()
    assert answers == [{"refused": "not you"}, *({"member": member} for member in range(1, 8))]
    assert not (tmp_path / "peers").exists()


async def test_nobody_at_a_path_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        await DescriptorSocket.connect(tmp_path / "nobody")
