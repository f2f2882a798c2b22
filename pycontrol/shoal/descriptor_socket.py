# SPDX-License-Identifier: BSD-3-Clause
"""Unix sockets that pass descriptors between our processes. Messages are JSON, one a packet (SOCK_SEQPACKET); both ends
check that the other runs as the same user. The socket stays open: its closing is the end of the peer, unless it has
said goodbye before."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from shoal.errors import DeadlineError, RefusedError, UnreachableError

logger = logging.getLogger(__name__)

MESSAGE_BYTES: Final = 4096
# Of one server, at once: each member has one, and some may knock again before their last one has been let go.
CONNECTIONS_MAX: Final = 256
ACCEPT_AGAIN_S: Final = 0.1
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid

Message = Mapping[str, str | int | bool]


class DescriptorSocket:
    """One connection. Owns its socket; descriptors received are the caller's."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._waiting: set[asyncio.Future[None]] = set()
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self.pid, user, _ = _CREDENTIALS.unpack(data)
        if user not in (os.geteuid(), 0):
            connection.close()
            raise RefusedError(f"process {self.pid} of user {user} knocked: only user {os.geteuid()} may")

    @classmethod
    async def connect(cls, path: Path) -> "DescriptorSocket":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, str(path))
            return cls(connection)
        except OSError as error:
            connection.close()
            raise UnreachableError(f"{path}: {error.strerror}") from error
        except BaseException:
            connection.close()
            raise

    async def send(self, message: Message, descriptor: int | None = None) -> None:
        data = json.dumps(message).encode()
        while True:
            try:
                if descriptor is None:
                    self._socket.send(data)
                else:
                    socket.send_fds(self._socket, [data], [descriptor])
                return
            except BlockingIOError:
                await self._ready(writing=True)
            except OSError as error:
                raise UnreachableError(f"process {self.pid} has gone: {error.strerror}") from error

    async def receive(self) -> tuple[Message, int | None]:
        """The next message with the descriptor that came with it. UnreachableError: the other end has closed."""
        while True:
            try:
                data, descriptors, flags, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 1)
            except BlockingIOError:
                await self._ready(writing=False)
                continue
            except OSError as error:
                raise UnreachableError(f"process {self.pid} has gone: {error.strerror}") from error
            descriptor = descriptors[0] if descriptors else None
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                _discard(descriptor)
                raise UnreachableError(f"process {self.pid} sent more than fits into a message")
            if not data:
                _discard(descriptor)
                raise UnreachableError(f"process {self.pid} has closed the connection")
            return _decoded(data, descriptor), descriptor

    async def _ready(self, *, writing: bool) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        add(self._socket, wake)
        self._waiting.add(ready)
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            if self._socket.fileno() >= 0:
                remove(self._socket)

    def close(self) -> None:
        """Whoever waits for the other end waits no more: UnreachableError."""
        if self._socket.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
        for ready in self._waiting:
            if not ready.done():
                ready.set_result(None)

    async def goodbye(self) -> None:
        """Closes after telling the peer that this is no death."""
        with contextlib.suppress(UnreachableError):
            await self.send({"goodbye": True})
        self.close()

    async def wait_end(self) -> bool:
        """Waits for the other end to close; True: it has said goodbye before."""
        parted = False
        while True:
            try:
                message, descriptor = await self.receive()
            except UnreachableError:
                return parted
            _discard(descriptor)
            parted = parted or bool(message.get("goodbye"))


def _discard(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def number(message: Message, field: str) -> int:
    """A field that must be a number, and not negative. RefusedError: it is none."""
    value = message.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RefusedError(f"{field} is no number")
    return value


def _decoded(data: bytes, descriptor: int | None) -> Message:
    try:
        message = json.loads(data)
        if not isinstance(message, dict):
            raise TypeError("not an object")
    except (ValueError, TypeError, RecursionError) as error:
        _discard(descriptor)
        raise UnreachableError(f"what came is no message: {error}") from error
    return message


class DescriptorServer:
    """Listens; each connection is served by a task of its own."""

    def __init__(self, path: Path, serve: Callable[[DescriptorSocket], Awaitable[None]]) -> None:
        self.path = path
        self._serve = serve
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        listener.setblocking(False)
        listener.bind(str(self.path))
        self.path.chmod(0o600)
        listener.listen(64)
        self._accepting = asyncio.create_task(self._accept(listener), name=f"accept {self.path.name}")

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError as error:
                    # Who has knocked waits until there is a descriptor for it; nobody could knock later if this ended.
                    logger.warning("%s: nobody can be let in: %s", self.path, error.strerror)
                    await asyncio.sleep(ACCEPT_AGAIN_S)
                    continue
                if len(self._tasks) >= CONNECTIONS_MAX:
                    connection.close()
                    continue
                try:
                    accepted = DescriptorSocket(connection)
                except RefusedError:
                    continue
                task = asyncio.create_task(self._run(accepted), name=f"serve process {accepted.pid}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _run(self, accepted: DescriptorSocket) -> None:
        try:
            await self._serve(accepted)
        except (UnreachableError, DeadlineError, RefusedError, TimeoutError) as error:
            with contextlib.suppress(UnreachableError):
                await accepted.send({"refused": str(error)})
        finally:
            accepted.close()

    async def close(self) -> None:
        tasks = [task for task in (self._accepting, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.path.unlink(missing_ok=True)
