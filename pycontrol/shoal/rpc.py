# SPDX-License-Identifier: BSD-3-Clause
"""gRPC servers and channels as all of Shoal uses them: health and reflection, errors as statuses, a deadline for every
call. An address is "unix:/path" or "host:port"."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from shoal.errors import InvalidRequestError, RefusedError, UnreachableError
from shoal.rpc_status import code_of, from_rpc_error, to_status

logger = logging.getLogger(__name__)

# A unary call that comes without a deadline gets this one.
DEFAULT_DEADLINE_S: Final = 60.0
# State rows are up to 16 KiB each; a page of them must fit.
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.so_reuseport", 0),
)

# What comes in is no longer than a profile's streams; what goes out may be a page of state.
_SERVER_OPTIONS: Final = (("grpc.max_receive_message_length", 17 << 20), *_OPTIONS[1:])
# Under way at once, streams included; more are refused.
CALLS_MAX: Final = 256
RECONNECT_MS: Final = 100
LISTENING_POLL_S: Final = 0.005

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Turns exceptions into statuses with details, and gives each unary call a deadline."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith("/grpc."):
            return handler
        method = handler_call_details.method
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _unary(handler.unary_unary, method),
                _reader(handler.request_deserializer),
                handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, method),
                _reader(handler.request_deserializer),
                handler.response_serializer,
            )
        return handler


class _Unreadable:
    """Stands for bytes that are no request."""


def _reader(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """gRPC itself would call it an internal error."""

    def read(data: bytes) -> Any:
        try:
            return deserialize(data) if deserialize is not None else data
        except DecodeError:
            return _Unreadable()

    return read


def _read(request: Any) -> Any:
    if isinstance(request, _Unreadable):
        raise InvalidRequestError("these bytes are no request of this method")
    return request


def _unary(behaviour: Any, method: str) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answer(request: Any, context: Any) -> Any:
        try:
            async with asyncio.timeout(context.time_remaining() or DEFAULT_DEADLINE_S):
                return await behaviour(_read(request), context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            return await _abort(error, method, context)

    return answer


def _stream(behaviour: Any, method: str) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for reply in behaviour(_read(request), context):
                yield reply
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _abort(error, method, context)

    return answer


async def _abort(error: Exception, method: str, context: Any) -> None:
    if code_of(error) is grpc.StatusCode.INTERNAL:
        logger.exception("%s failed", method)
    status = to_status(error)
    context.set_trailing_metadata(status.trailing_metadata)
    await context.abort(status.code, status.details, status.trailing_metadata)


def socket_path(address: str) -> Path | None:
    """The path of a Unix socket's address; None for other addresses."""
    return Path(address.removeprefix("unix:")) if address.startswith("unix:") else None


class Server:
    """A gRPC server with health and reflection. `register` adds the servicers."""

    def __init__(self, address: str, services: Sequence[str], register: Callable[[grpc.aio.Server], None]) -> None:
        self.address = address
        self._services = tuple(services)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[StatusInterceptor()], options=_SERVER_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX
        )
        register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def check_free(self) -> None:
        """RefusedError: somebody listens at the address's socket."""
        path = socket_path(self.address)
        if path is not None:
            await _clear_stale(path)

    async def start(self) -> None:
        """Listens. UnreachableError: the address is taken or not ours."""
        await self.check_free()
        path = socket_path(self.address)
        if path is not None:
            _require_own_folder(path.parent)
        before = os.umask(0o177)  # the socket is private from the moment when it is there
        try:
            self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise UnreachableError(f"can't listen on {self.address}: {error}") from error
        finally:
            os.umask(before)
        await self._server.start()
        if path is not None:
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        for name in ("", *self._services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Lets calls under way end within the grace, then closes; the socket goes with it."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
        path = socket_path(self.address)
        if path is not None:
            path.unlink(missing_ok=True)


def _require_own_folder(folder: Path) -> None:
    """Others may not put a socket of theirs into the place of ours."""
    status = folder.stat()
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise RefusedError(f"{folder} is open to others: no place for a socket")


def _require_own_socket(path: Path) -> None:
    """gRPC does not tell who listens; the kernel lets in who may write to a socket, and its owner made it."""
    with contextlib.suppress(FileNotFoundError):
        owner = path.lstat().st_uid
        if owner not in (os.geteuid(), 0):
            raise RefusedError(f"{path} belongs to user {owner}, not to {os.geteuid()}")


async def _clear_stale(path: Path) -> None:
    """Removes a socket that nobody listens on any more; refuses one that lives."""
    if not path.exists():
        return
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_unix_connection(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        path.unlink(missing_ok=True)
    else:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        raise RefusedError(f"{path} is in use: something like it runs already")


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel whose calls fail at once where nobody listens. It tries again soon: who listens here is near, and
    gRPC's own pauses are a second and more. Its connections are its own: gRPC would share one with an earlier channel
    to the same address, at which another process may have listened. RefusedError: the socket is somebody else's."""
    path = socket_path(address)
    if path is not None:
        _require_own_socket(path)
    pauses = (("grpc.initial_reconnect_backoff_ms", RECONNECT_MS), ("grpc.max_reconnect_backoff_ms", RECONNECT_MS))
    own = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
    return grpc.aio.insecure_channel(address, options=(*_OPTIONS, *pauses, *own))


async def listening(address: str, deadline_s: float) -> None:
    """Waits until somebody listens at a Unix socket's address, or the deadline has passed; other addresses are left to
    the channel."""
    path = socket_path(address)
    if path is None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            while not await _answers(path):
                await asyncio.sleep(LISTENING_POLL_S)


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def call(method: Callable[..., Awaitable[Any]], request: Any, deadline_s: float, where: str) -> Any:
    """One unary call with a deadline; its failure as one of our exceptions."""
    with _failing_as_ours(where):
        return await method(request, timeout=deadline_s)


@contextlib.contextmanager
def _failing_as_ours(where: str) -> Iterator[None]:
    """gRPC cancels whoever waits for an answer when the channel is closed; only one whose task was cancelled himself
    may end like that, for a cancelled task ends unheard."""
    task = asyncio.current_task()
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, where) from None
    except asyncio.CancelledError:
        if task is None or task.cancelling():
            raise
        raise UnreachableError(f"{where}: the connection was closed meanwhile") from None
    except grpc.aio.UsageError:
        raise UnreachableError(f"{where}: the connection is closed") from None


async def stream(
    method: Callable[..., Any], request: Any, deadline_s: float, where: str, *, wait: bool = False
) -> AsyncIterator[Any]:
    """A streamed answer with a deadline for the whole of it. Leaving the loop ends the call. `wait`: for somebody to
    listen first."""
    with _failing_as_ours(where):
        answers = method(request, timeout=deadline_s, wait_for_ready=wait)
        try:
            async for answer in answers:
                yield answer
        finally:
            answers.cancel()


async def call_when_ready(method: Callable[..., Awaitable[Any]], request: Any, deadline_s: float, where: str) -> Any:
    """As call, but waits for somebody to listen first."""
    with _failing_as_ours(where):
        return await method(request, timeout=deadline_s, wait_for_ready=True)
