# SPDX-License-Identifier: BSD-3-Clause
import asyncio
import contextlib
import json
import os
import resource
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shoal.descriptor_socket import (
    CONNECTIONS_MAX,
    MESSAGE_BYTES,
    DescriptorServer,
    DescriptorSocket,
    Message,
    number,
)
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


async def test_an_end_that_closes_itself_waits_no_more() -> None:
    async with pair() as (left, _):
        waiting = asyncio.create_task(left.wait_end())
        await asyncio.sleep(0)  # until it waits
        await left.goodbye()
        async with asyncio.timeout(5):
            assert await waiting is False


async def test_a_server_that_ends_connections_takes_new_ones(tmp_path: Path) -> None:
    """More of them than may be open at once: each ends when the server has said goodbye."""
    served: asyncio.Queue[DescriptorSocket] = asyncio.Queue()

    async def serve(connection: DescriptorSocket) -> None:
        served.put_nowait(connection)
        await connection.wait_end()

    server = DescriptorServer(tmp_path / "s", serve)
    await server.start()
    try:
        async with asyncio.timeout(30):
            for _ in range(CONNECTIONS_MAX + 10):
                client = await DescriptorSocket.connect(server.path)
                await (await served.get()).goodbye()
                assert await client.wait_end() is True
                client.close()
    finally:
        await server.close()


async def test_a_server_without_descriptors_takes_who_knocked_when_it_has_some(tmp_path: Path) -> None:
    served: asyncio.Queue[DescriptorSocket] = asyncio.Queue()

    async def serve(connection: DescriptorSocket) -> None:
        served.put_nowait(connection)
        await connection.wait_end()

    server = DescriptorServer(tmp_path / "s", serve)
    await server.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
            spare = []
            with contextlib.suppress(OSError):
                while True:
                    spare.append(os.dup(client.fileno()))
            client.connect(str(server.path))
            for _ in range(10):
                await asyncio.sleep(0)  # it looks who has knocked
            assert served.empty()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in spare:
                os.close(descriptor)
        async with asyncio.timeout(30):
            await (await served.get()).goodbye()
    await server.close()


async def test_what_is_no_message_is_refused() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left:
        end = DescriptorSocket(right)
        for junk in (b"{", b"[1]", b"\xff", b"[" * MESSAGE_BYTES):
            left.send(junk)
            with pytest.raises(UnreachableError, match="is no message"):
                await end.receive()
        end.close()


def _forged() -> Iterator[bytes]:
    """A message cut at every byte, and with bytes of it changed, doubled and swapped."""
    good = json.dumps({"member": 7, "life": 12, "pid": 1, "goodbye": False, "path": "/x"}).encode()
    yield from (good[:length] for length in range(1, len(good) + 1))
    random = Random(7)
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(random.choice((1, 1, 2, 8))):
            at = random.randrange(len(data))
            data[at : at + random.choice((0, 1, 1, 3))] = random.choice(
                (b"", b"-", b"[", b"9" * 30, b"\xff", b"\0", b"e9")
            )
        yield bytes(data) or b" "


async def test_any_bytes_are_a_message_whose_fields_are_checked_or_are_refused() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    taken = 0
    with left:
        end = DescriptorSocket(right)
        for data in _forged():
            left.send(data)
            try:
                message, descriptor = await end.receive()
            except UnreachableError:
                continue
            taken += 1
            assert isinstance(message, dict)
            assert descriptor is None
            for field in ("member", "life", "pid"):
                with contextlib.suppress(RefusedError):
                    assert number(message, field) >= 0
        end.close()
    assert taken > 100


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


async def test_more_than_fits_into_a_message_is_refused_not_cut() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left:
        end = DescriptorSocket(right)
        left.send(b'{"member": 1}' + b" " * MESSAGE_BYTES)
        with pytest.raises(UnreachableError, match="more than fits"):
            await end.receive()
        descriptors = [os.memfd_create("x") for _ in range(2)]
        before = len(list(Path("/proc/self/fd").iterdir()))
        socket.send_fds(left, [b"{}"], descriptors)
        with pytest.raises(UnreachableError, match="more than fits"):
            await end.receive()
        assert len(list(Path("/proc/self/fd").iterdir())) == before, "a descriptor that came was kept"
        for descriptor in descriptors:
            os.close(descriptor)
        end.close()


@pytest.mark.parametrize("value", [None, -1, True, 1.5, "1", [1], {}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    assert number({"member": 7}, "member") == 7
    with pytest.raises(RefusedError, match="member is no number"):
        number({"member": value}, "member")


async def test_no_more_connections_than_the_limit_are_kept(tmp_path: Path) -> None:
    async def serve(connection: DescriptorSocket) -> None:
        await connection.send({"welcome": True})
        await connection.wait_end()

    async def welcome(made: list[DescriptorSocket]) -> bool:
        made.append(await DescriptorSocket.connect(tmp_path / "peers"))
        try:
            await made[-1].receive()
        except UnreachableError:
            return False
        return True

    server, made = DescriptorServer(tmp_path / "peers", serve), list[DescriptorSocket]()
    await server.start()
    try:
        answers = [await welcome(made) for _ in range(CONNECTIONS_MAX + 3)]
        assert answers == [True] * CONNECTIONS_MAX + [False] * 3
        made[0].close()
        async with asyncio.timeout(10):
            while not await welcome(made):
                await asyncio.sleep(0)
    finally:
        for each in made:
            each.close()
        await server.close()


KNOCK = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as knocking:
    knocking.connect(sys.argv[1])
    knocking.settimeout(10)
    print(knocking.recv(100) or "closed")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
async def test_another_user_is_not_let_in_even_where_the_file_would_let_him() -> None:
    async def serve(connection: DescriptorSocket) -> None:
        await connection.send({"welcome": True})

    # Where anybody may come to: a test run's own folder for temporary files lets nobody else in.
    with tempfile.TemporaryDirectory(prefix="shoal-", dir="/tmp") as folder:
        path = Path(folder) / "peers"
        server = DescriptorServer(path, serve)
        await server.start()
        Path(folder).chmod(0o777)
        path.chmod(0o777)
        command = [sys.executable, "-c", KNOCK, str(path)]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        await server.close()
    assert said == b"closed\n"
