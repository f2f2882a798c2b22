# SPDX-License-Identifier: BSD-3-Clause
"""Servers and clients over real gRPC."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from shoal import errors
from shoal.client import Client, connected
from shoal.proto import controller_pb2, controller_pb2_grpc
from shoal.rpc import Server, listening, open_channel
from shoal_dataplane import DataplaneError

SERVICE = "shoal.v1.ControllerService"


class Failing(controller_pb2_grpc.ControllerServiceServicer):
    """Answers every call with one error, or never."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def GetStatus(self, request: Any, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def Scale(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield controller_pb2.OperationUpdate(stage="learn")
        assert self.error is not None
        raise self.error


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Failing, Client, str]]:
    failing = Failing()  # type: ignore[abstract]
    address = f"unix:{folder / 'socket'}"
    server = Server(
        address, [SERVICE], lambda made: controller_pb2_grpc.add_ControllerServiceServicer_to_server(failing, made)
    )
    await server.start()
    try:
        async with connected(address) as client:
            yield failing, client, address
    finally:
        await server.stop(0)


async def test_who_waits_for_an_answer_hears_that_the_connection_was_closed(tmp_path: Path) -> None:
    """Not that he was cancelled: a task that ends so ends unheard."""
    async with served(tmp_path) as (failing, client, _):
        asking = asyncio.create_task(client.status())
        async with asyncio.timeout(10):
            await failing.asked.wait()
            await client.close()
            with pytest.raises(errors.UnreachableError, match="closed meanwhile"):
                await asking
        with pytest.raises(errors.UnreachableError, match="is closed"):
            await client.status()


async def test_who_is_cancelled_himself_is_cancelled(tmp_path: Path) -> None:
    async with served(tmp_path) as (failing, client, _):
        asking = asyncio.create_task(client.status())
        async with asyncio.timeout(10):
            await failing.asked.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (errors.InvalidRequestError("no"), errors.InvalidRequestError),
        (errors.NotFoundError("no"), errors.NotFoundError),
        (errors.RefusedError("no"), errors.RefusedError),
        (errors.NoRoomError("no"), errors.NoRoomError),
        (errors.UnreachableError("no"), errors.UnreachableError),
        (errors.DeadlineError("no"), errors.DeadlineError),
        (DataplaneError(28, "no"), errors.NoRoomError),
        (DataplaneError(16, "no"), errors.RefusedError),
        (DataplaneError(2, "no"), errors.NotFoundError),
        (KeyError("no"), errors.ShoalError),
    ],
)
async def test_an_error_arrives_as_its_like_with_its_sentence(
    tmp_path: Path, raised: Exception, expected: type[errors.ShoalError]
) -> None:
    async with served(tmp_path) as (failing, client, _):
        failing.error = raised
        with pytest.raises(expected, match="no") as caught:
            await client.status()
        assert type(caught.value) is expected


async def test_all_faults_of_a_file_travel(tmp_path: Path) -> None:
    faults = (errors.ConfigFault("a.yaml", 3, 4, "ports", "is missing"), errors.ConfigFault("a.yaml", 9, 1, "x", "no"))
    async with served(tmp_path) as (failing, client, _):
        failing.error = errors.ConfigError(faults)
        with pytest.raises(errors.ConfigError) as caught:
            await client.status()
    assert caught.value.faults == faults


async def test_what_is_longer_than_a_status_may_be_is_cut_and_arrives_as_its_like(tmp_path: Path) -> None:
    many = tuple(errors.ConfigFault("a.yaml", line, 1, "ports", "é" * 1000) for line in range(1, 5001))
    async with served(tmp_path) as (failing, client, _):
        for error in (errors.NotFoundError("é" * 100_000), DataplaneError(22, "x" * 100_000)):
            failing.error = error
            with pytest.raises(errors.ShoalError, match="…") as caught:
                await client.status()
            assert type(caught.value) in (errors.NotFoundError, errors.InvalidRequestError)
        failing.error = errors.ConfigError(many)
        with pytest.raises(errors.ConfigError) as refused:
            await client.status()
    *told, last = refused.value.faults
    assert [fault.line for fault in told] == list(range(1, len(told) + 1))
    assert last.reason == f"and {5000 - len(told)} more faults"


async def test_bytes_that_are_no_request_are_the_callers_fault(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, _, address), grpc.aio.insecure_channel(address) as channel:
        untyped: Any = channel
        for junk in (b"\xff" * 9, b"\x0a\x02\xc3\x28"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in untyped.unary_stream(f"/{SERVICE}/Scale")(junk, timeout=5):
                    pass
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_terms_of_a_stale_command_travel(tmp_path: Path) -> None:
    async with served(tmp_path) as (failing, client, _):
        failing.error = errors.StaleTermError(3, 5)
        with pytest.raises(errors.StaleTermError) as caught:
            await client.status()
    assert (caught.value.term, caught.value.known) == (3, 5)


async def test_a_stream_gives_what_came_before_its_error(tmp_path: Path) -> None:
    async with served(tmp_path) as (failing, client, _):
        failing.error = errors.RefusedError("stuck")
        updates = client.scale("nat", 2)
        assert (await anext(updates)).stage == "learn"
        with pytest.raises(errors.RefusedError, match="stuck"):
            await anext(updates)


async def test_a_call_that_is_not_answered_ends_at_its_deadline_on_both_sides(tmp_path: Path) -> None:
    async with served(tmp_path) as (failing, _, address), grpc.aio.insecure_channel(address) as channel:
        stub: controller_pb2_grpc.ControllerServiceAsyncStub = controller_pb2_grpc.ControllerServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetStatus(controller_pb2.GetStatusRequest(), timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(5):
            await failing.cancelled.wait()


async def test_nobody_there_is_unreachable_at_once(tmp_path: Path) -> None:
    async with connected(f"unix:{tmp_path / 'nobody'}") as client:
        with pytest.raises(errors.UnreachableError, match="no controller answers"):
            await client.status()


async def test_health_and_reflection_tell_of_the_service(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, _, address), grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        untyped: Any = reflection_pb2_grpc
        reflection = untyped.ServerReflectionStub(channel)
        messages: Any = reflection_pb2
        request = messages.ServerReflectionRequest(list_services="")
        async for listing in reflection.ServerReflectionInfo(iter([request]), timeout=5):
            assert SERVICE in [service.name for service in listing.list_services_response.service]


async def test_a_socket_is_private_and_goes_with_its_server(tmp_path: Path) -> None:
    async with served(tmp_path):
        assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "socket").exists()


async def test_a_folder_that_is_open_to_others_is_no_place_for_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(errors.RefusedError, match="open to others"):
        async with served(folder):
            pass
    assert not (folder / "socket").exists()


CALL = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as knocking:
    try:
        knocking.connect(sys.argv[1])
    except OSError as error:
        print(error.strerror)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
async def test_another_user_may_not_call_even_where_he_may_enter() -> None:
    # Where anybody may come to: a test run's own folder for temporary files lets nobody else in.
    with tempfile.TemporaryDirectory(prefix="shoal-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with served(folder):
            command = [sys.executable, "-c", CALL, str(folder / "socket")]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            said, _ = await process.communicate()
    assert said == b"Permission denied\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a socket away")
def test_another_users_socket_is_not_called(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "theirs"))
        os.chown(tmp_path / "theirs", 65534, 65534)
        with pytest.raises(errors.RefusedError, match="belongs to user 65534"):
            open_channel(f"unix:{tmp_path / 'theirs'}")


async def test_a_second_server_at_a_socket_is_refused_and_a_stale_one_replaced(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, _, address):
        with pytest.raises(errors.RefusedError, match="in use"):
            await Server(address, [], lambda _: None).start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
            stale.bind(str(tmp_path / "stale"))
            stale.listen()
    server = Server(f"unix:{tmp_path / 'stale'}", [], lambda _: None)
    await server.start()
    await server.stop(0)


async def test_who_waits_for_a_listener_is_not_misled_by_the_socket_that_a_dead_one_left(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    waiting = asyncio.create_task(listening(f"unix:{path}", 20))
    done, _ = await asyncio.wait((waiting,), timeout=0.1)
    assert not done
    async with served(tmp_path):
        await waiting


async def test_who_waits_for_a_listener_does_so_until_the_deadline(tmp_path: Path) -> None:
    await listening(f"unix:{tmp_path / 'nobody'}", 0.05)
    await listening("127.0.0.1:1", 20)
