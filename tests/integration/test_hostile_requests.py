# SPDX-License-Identifier: BSD-3-Clause
"""Hostile values in every field of every request, to real processes: each is answered with a status that says whose
fault it is, never INTERNAL or UNKNOWN, and the process is well afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shoal.agent.checks import check_configuration
from shoal.errors import InvalidRequestError
from shoal.network_function.description import find
from shoal.proto import common_pb2, controller_pb2, instance_pb2, splitter_pb2
from shoal.run_directory import ProcessDirectory, RunDirectory, make_private
from shoal.splitter.service import check_configuration as check_splitter
from tests.integration.hostile import hostile, junk, told
from tests.integration.test_deployment import Shell, config, shell

__all__ = ["config", "shell"]

OURS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
DEADLINE_S = 30.0
WATCHES = ("WatchEvents", "WatchTraffic")
WATCH_S = 0.2  # one that is still going on after so long has been taken
NF = str(find("nat", None))
TERM = 7
SETTINGS = [
    common_pb2.Setting(name="public_addresses", value="192.0.2.1"),
    common_pb2.Setting(name="inside_prefixes", value="10.0.0.0/8"),
]
RUNNER = common_pb2.RunnerSettings(cpu=-1, idle="sleep", idle_polls=16, sleep_us=500)


class Target:
    """One service of one process. `skip` are requests that a caller may well make, and that would end the process."""

    def __init__(self, address: str, service: ServiceDescriptor, skip: Callable[[Any], bool]) -> None:
        self.address = address
        self._channel: Any = grpc.aio.insecure_channel(
            address, options=(("grpc.max_send_message_length", 64 << 20), ("grpc.max_receive_message_length", 64 << 20))
        )
        self._service = service
        self._skip = skip
        self.bad: list[str] = []
        self.asked = 0

    async def ready(self) -> None:
        await self._channel.channel_ready()

    async def close(self) -> None:
        await self._channel.close()

    async def call(self, method: str, request: Message | bytes) -> grpc.StatusCode:
        """The status of one call."""
        descriptor = self._service.methods_by_name[method]
        reply: Any = GetMessageClass(descriptor.output_type)
        path = f"/{self._service.full_name}/{method}"
        data = request if isinstance(request, bytes) else request.SerializeToString()
        self.asked += 1
        try:
            if descriptor.server_streaming:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_S if method in WATCHES else DEADLINE_S):
                        async for _ in self._channel.unary_stream(path, response_deserializer=reply.FromString)(
                            data, timeout=DEADLINE_S
                        ):
                            pass
            else:
                await self._channel.unary_unary(path, response_deserializer=reply.FromString)(data, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            if error.code() in OURS or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                what = data.hex()[:120] if isinstance(request, bytes) else told(request)
                self.bad.append(f"{method}: {error.code().name} {str(error.details())[:200]!r} to {what}")
            return error.code()
        return grpc.StatusCode.OK

    async def torment(self, bases: Mapping[str, Message]) -> None:
        """All methods that `bases` has a request for, and with junk all others, too."""
        for method, base in bases.items():
            for request in hostile(base):
                if not self._skip(request):
                    await self.call(method, request)
            for data in junk(base):
                with contextlib.suppress(Exception):
                    parsed = type(base).FromString(data)
                    if self._skip(parsed):
                        continue
                await self.call(method, data)

    async def well(self) -> bool:
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=self._service.full_name), timeout=10)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def untold(self, bases: Mapping[str, Message]) -> set[str]:
        """Methods with fields that were left out."""
        return {method.name for method in self._service.methods if method.input_type.fields} - set(bases)


@contextlib.asynccontextmanager
async def process(module: str, service: ServiceDescriptor, skip: Callable[[Any], bool]) -> AsyncIterator[Target]:
    """A process that waits to be configured."""
    with tempfile.TemporaryDirectory(prefix="shoal-") as made:
        folder = make_private(Path(made) / "nat-1")
        directory = ProcessDirectory(folder)
        with (folder / "log").open("wb") as log:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, str(folder), stdout=log, stderr=log
            )
        target = Target(directory.address, service, skip)
        try:
            async with asyncio.timeout(30):
                await target.ready()
            yield target
            assert child.returncode is None, (folder / "log").read_text()[-3000:]
        finally:
            await target.close()
            if child.returncode is None:
                child.terminate()
            async with asyncio.timeout(30):
                await child.wait()
        assert child.returncode == 0


def instance_configuration() -> instance_pb2.ConfigureInstanceRequest:
    return instance_pb2.ConfigureInstanceRequest(
        term=TERM,
        name="nat-1",
        member=0,
        life=1,
        cluster=9,
        hash_seed=3,
        nf_path=NF,
        settings=SETTINGS,
        sizes=instance_pb2.InstanceSizes(
            objects=4096,
            parked=256,
            microthreads=64,
            window=64,
            packets=2048,
            take_deadline_ms=1000,
            channel_bytes=1 << 16,
        ),
        runner=RUNNER,
    )


def instance_bases() -> dict[str, Message]:
    map_now = bytes(256)
    own = instance_pb2.Peer(member=0, life=1, name="nat-1", socket="/nowhere/peers.socket")
    dead = instance_pb2.DeadMember(member=1, life=2, adopter=0)
    return {
        "AttachPackets": instance_pb2.AttachPacketsRequest(term=TERM, splitter_socket="/nowhere/peers.socket"),
        "DetachPackets": instance_pb2.DetachPacketsRequest(term=TERM),
        "Learn": instance_pb2.LearnRequest(
            term=TERM, epoch_now=0, epoch_next=1, steering_next=map_now, members_next=[own], expected_objects=[1]
        ),
        "Abandon": instance_pb2.StageRequest(term=TERM, epoch=1),
        "HandOver": instance_pb2.StageRequest(term=TERM, epoch=1),
        "MarkersBack": instance_pb2.StageRequest(term=TERM, epoch=1),
        "Drain": instance_pb2.DrainInstanceRequest(term=TERM),
        "Forget": instance_pb2.ForgetRequest(term=TERM, epoch=1, left=[3]),
        "Adopt": instance_pb2.AdoptRequest(term=TERM, member=1, life=2, slab_directory="/dev/shm/shoal-nowhere"),
        "Death": instance_pb2.DeathRequest(
            term=TERM, view=1, epoch=2, dead=[dead], survivors=[0], mint=bytes([0]) * 16384
        ),
        "EndView": instance_pb2.EndViewRequest(term=TERM, view=1, dead=[dead]),
        "ListFates": instance_pb2.ListFatesRequest(),
        "KeepAlive": instance_pb2.KeepAliveRequest(term=TERM, asked_ns=1),
        "Fence": instance_pb2.FenceRequest(term=TERM, dead=[dead]),
        "GetState": instance_pb2.GetInstanceStateRequest(class_name="nat.mapping", key=bytes(8)),
        "CountState": instance_pb2.CountStateRequest(cursor=0),
        "ListState": instance_pb2.ListInstanceStateRequest(class_name="nat.mapping", limit=4),
        "RunTask": instance_pb2.RunInstanceTaskRequest(task="nothing", deadline_ms=50),
        "WatchEvents": common_pb2.WatchEventsRequest(after=0),
    }


def harmful(request: Any) -> bool:
    """Its end, and what would make it deaf to the rest of the test: a later term, by which it must obey it."""
    if getattr(request, "declared_dead", False):
        return True
    return TERM < getattr(request, "term", 0) <= 0xFFFFFFFF


def refused_at_sight(request: Any) -> bool:
    """What can't be a configuration: so nothing is started with it."""
    check = check_configuration if isinstance(request, instance_pb2.ConfigureInstanceRequest) else check_splitter
    try:
        check(request)
    except InvalidRequestError:
        return True
    return False


async def torment_unconfigured(target: Target, good: Any) -> None:
    """Configurations that are none, of a process that has none: afterwards it can still be configured."""
    for request in hostile(good):
        if refused_at_sight(request):
            assert await target.call("Configure", request) is grpc.StatusCode.INVALID_ARGUMENT, told(request)
    for data in (b"\xff" * 64, good.SerializeToString()[:-1]):
        assert await target.call("Configure", data) is grpc.StatusCode.INVALID_ARGUMENT
    assert await target.call("Configure", good) is grpc.StatusCode.OK, target.bad


@pytest.mark.timeout(600)
async def test_an_instance_answers_whatever_it_is_asked() -> None:
    service = instance_pb2.DESCRIPTOR.services_by_name["InstanceService"]
    async with process("shoal.agent", service, harmful) as target:
        bases, good = instance_bases(), instance_configuration()
        await target.torment(bases)  # nothing is configured yet
        await torment_unconfigured(target, good)
        await target.torment(bases | {"Configure": good})
        assert await target.well()
        assert await target.call("GetReport", instance_pb2.GetReportRequest()) is grpc.StatusCode.OK
        assert await target.call("GetStatistics", common_pb2.GetStatisticsRequest()) is grpc.StatusCode.OK
        assert not target.untold(bases | {"Configure": good})
        assert target.bad == []
        assert target.asked > 1000


def splitter_configuration() -> splitter_pb2.ConfigureSplitterRequest:
    return splitter_pb2.ConfigureSplitterRequest(
        term=TERM,
        name="splitter",
        cluster=9,
        nf_path=NF,
        settings=SETTINGS,
        ports=[common_pb2.Port(number=number, device="traffic") for number in (0, 1)],
        packets=8192,
        parked=1024,
        fragments=256,
        ring_bytes=1 << 16,
        runner=RUNNER,
    )


def splitter_bases() -> dict[str, Message]:
    return {
        "AttachMember": splitter_pb2.AttachMemberRequest(term=TERM, member=0, life=1),
        "DetachMember": splitter_pb2.DetachMemberRequest(term=TERM, member=0),
        "SetTable": splitter_pb2.SetTableRequest(term=TERM, members=bytes(256)),
        "Redirect": splitter_pb2.RedirectRequest(term=TERM, steering_slots=b"\x01" + bytes(31), member=0),
        "GetRedirectProgress": splitter_pb2.GetRedirectProgressRequest(),
        "StartTraffic": splitter_pb2.StartTrafficRequest(name="x", streams=b"{}", options={"duration": "1"}),
        "WatchEvents": common_pb2.WatchEventsRequest(),
    }


@pytest.mark.timeout(600)
async def test_the_splitter_answers_whatever_it_is_asked() -> None:
    service = splitter_pb2.DESCRIPTOR.services_by_name["SplitterService"]
    async with process("shoal.splitter", service, harmful) as target:
        bases, good = splitter_bases(), splitter_configuration()
        await target.torment(bases)
        await torment_unconfigured(target, good)
        await target.torment(bases | {"Configure": good})
        assert await target.well()
        assert await target.call("GetReport", splitter_pb2.GetSplitterReportRequest()) is grpc.StatusCode.OK
        assert await target.call("GetStatistics", common_pb2.GetStatisticsRequest()) is grpc.StatusCode.OK
        assert not target.untold(bases | {"Configure": good})
        assert target.bad == []
        assert target.asked > 500


def controller_bases(made: Shell) -> dict[str, Message]:
    key = [common_pb2.Setting(name="", value="10.0.0.1:2000/udp")]
    return {
        "Deploy": controller_pb2.DeployRequest(file="nat.yaml", text=made.file.read_text(), by="test"),
        "Scale": controller_pb2.ScaleRequest(network_function="nat", instances=1),
        "Remove": controller_pb2.RemoveRequest(instance="nat-9"),
        "Drain": controller_pb2.DrainRequest(instance="nat-9"),
        "Down": controller_pb2.DownRequest(deployed_by="somebody else"),
        "WatchEvents": common_pb2.WatchEventsRequest(),
        "ListDeathKeys": controller_pb2.ListDeathKeysRequest(view=1, fate="lost", limit=1),
        "GetState": controller_pb2.GetStateRequest(class_name="nat.mapping", key=key),
        "ListState": controller_pb2.ListStateRequest(class_name="nat.mapping", limit=4, instance="nat-1"),
        "RunTask": controller_pb2.RunTaskRequest(task="nothing", instance="nat-1", deadline_ms=50),
        "StartTraffic": splitter_pb2.StartTrafficRequest(name="x", streams=b"{}", options={"duration": "1"}),
        "WatchTraffic": controller_pb2.WatchTrafficRequest(period_ms=50),
    }


def harmful_to_a_deployment(request: Any) -> bool:
    """Its end; and more instances than this machine has room for."""
    if isinstance(request, controller_pb2.DownRequest):
        return not request.deployed_by
    return isinstance(request, controller_pb2.ScaleRequest) and 1 < request.instances <= 64


@pytest.mark.timeout(600)
async def test_the_controller_answers_whatever_it_is_asked(shell: Shell) -> None:
    before = shell.status()
    service = controller_pb2.DESCRIPTOR.services_by_name["ControllerService"]
    target = Target(RunDirectory(shell.directory).controller.address, service, harmful_to_a_deployment)
    try:
        bases = controller_bases(shell)
        await target.torment(bases)
        assert await target.well()
    finally:
        await target.close()
    after = shell.status()
    assert after["process"] == before["process"]
    assert [each["process"] for each in after["instances"]] == [each["process"] for each in before["instances"]]
    assert not target.untold(bases)
    assert target.bad == []
    assert target.asked > 500
