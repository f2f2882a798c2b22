# SPDX-License-Identifier: BSD-3-Clause
"""The controller's end of an instance's service: our values in, our values out, a deadline on every call."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shoal import conversion, fence_conversion, rpc, view_conversion
from shoal.agent.worker import WorkerConfig
from shoal.model import (
    ClassInformation,
    DrainProgress,
    Event,
    FateRow,
    FenceProgress,
    InstanceReport,
    Peer,
    Progress,
    StateRow,
    Statistic,
    ViewProgress,
)
from shoal.proto import common_pb2, instance_pb2, instance_pb2_grpc
from shoal_dataplane import Death, Fate

CONFIGURE_DEADLINE_S: Final = 60.0
LEARN_DEADLINE_S: Final = 20.0
COMMAND_DEADLINE_S: Final = 5.0
EVENTS_DEADLINE_S: Final = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class LearnCommand:
    """Stage 1 for one recipient."""

    epoch_now: int
    epoch_next: int
    steering_now: bytes
    steering_next: bytes
    members_now: Sequence[Peer]
    members_next: Sequence[Peer]
    expected_objects: Sequence[int] = ()  # of each class, that the next map will bring there
    owner_now: bytes = b""  # of each slot, where that does not follow from steering_now


class InstanceClient:
    """One instance. `term` goes with every command."""

    def __init__(self, name: str, address: str, term: int) -> None:
        self.name = name
        self._term = term
        self._address = address
        self._channel = rpc.open_channel(address)
        self._stub: instance_pb2_grpc.InstanceServiceAsyncStub = instance_pb2_grpc.InstanceServiceStub(self._channel)

    async def close(self) -> None:
        await self._channel.close()

    async def _call(self, method: Any, request: Any, deadline_s: float = COMMAND_DEADLINE_S) -> Any:
        return await rpc.call(method, request, deadline_s, self.name)

    async def wait_reachable(self, deadline_s: float) -> InstanceReport:
        """Waits until it listens."""
        await rpc.listening(self._address, deadline_s)
        return conversion.instance_report_from_proto(
            await rpc.call_when_ready(self._stub.GetReport, instance_pb2.GetReportRequest(), deadline_s, self.name)
        )

    async def configure(self, config: WorkerConfig, metrics_address: str) -> InstanceReport:
        request = instance_pb2.ConfigureInstanceRequest(
            term=self._term,
            name=config.name,
            member=config.member,
            life=config.life,
            cluster=config.cluster,
            hash_seed=config.hash_seed,
            nf_path=config.nf_path,
            settings=conversion.settings_to_proto(dict(config.settings)),
            sizes=conversion.sizes_to_proto(config.sizes),
            runner=conversion.runner_to_proto(config.runner),
            eal=config.eal,
            ports=[conversion.port_to_proto(port) for port in config.ports],
            listen_address=config.listen_address,
            listen_port=config.listen_port,
            metrics_address=metrics_address,
            lease_ms=config.lease_ms,
            plane=conversion.plane_to_proto(config.plane),
            pipe=conversion.runner_to_proto(config.pipe) if config.pipe is not None else None,
        )
        return conversion.instance_report_from_proto(
            await self._call(self._stub.Configure, request, CONFIGURE_DEADLINE_S)
        )

    async def report(self) -> InstanceReport:
        return conversion.instance_report_from_proto(
            await self._call(self._stub.GetReport, instance_pb2.GetReportRequest())
        )

    async def attach_packets(self, splitter_socket: str, splitter_process: int) -> None:
        request = instance_pb2.AttachPacketsRequest(
            term=self._term, splitter_socket=splitter_socket, splitter_process=splitter_process
        )
        await self._call(self._stub.AttachPackets, request)

    async def detach_packets(self) -> None:
        await self._call(self._stub.DetachPackets, instance_pb2.DetachPacketsRequest(term=self._term))

    async def learn(self, command: LearnCommand) -> Progress:
        request = instance_pb2.LearnRequest(
            term=self._term,
            epoch_now=command.epoch_now,
            epoch_next=command.epoch_next,
            steering_now=command.steering_now,
            steering_next=command.steering_next,
            members_now=[conversion.peer_to_proto(peer) for peer in command.members_now],
            members_next=[conversion.peer_to_proto(peer) for peer in command.members_next],
            expected_objects=command.expected_objects,
            owner_now=command.owner_now,
        )
        return self._progress(await self._call(self._stub.Learn, request, LEARN_DEADLINE_S))

    def _stage_request(self, epoch: int) -> instance_pb2.StageRequest:
        return instance_pb2.StageRequest(term=self._term, epoch=epoch)

    @staticmethod
    def _progress(reply: Any) -> Progress:
        return conversion.progress_from_proto(reply.progress)

    async def abandon(self, epoch: int) -> Progress:
        return self._progress(await self._call(self._stub.Abandon, self._stage_request(epoch)))

    async def hand_over(self, epoch: int) -> Progress:
        return self._progress(await self._call(self._stub.HandOver, self._stage_request(epoch)))

    async def markers_back(self, epoch: int) -> Progress:
        return self._progress(await self._call(self._stub.MarkersBack, self._stage_request(epoch)))

    async def forget(self, epoch: int, left: Sequence[int]) -> Progress:
        request = instance_pb2.ForgetRequest(term=self._term, epoch=epoch, left=left)
        return self._progress(await self._call(self._stub.Forget, request))

    async def progress(self, deadline_s: float = COMMAND_DEADLINE_S) -> Progress:
        return conversion.progress_from_proto(
            await self._call(self._stub.GetProgress, instance_pb2.GetProgressRequest(), deadline_s)
        )

    async def drain(self) -> DrainProgress:
        """Takes no packets from devices any more; what it has in hand yet."""
        request = instance_pb2.DrainInstanceRequest(term=self._term)
        return conversion.drain_from_proto(await self._call(self._stub.Drain, request))

    async def resume(self) -> DrainProgress:
        """Takes them again."""
        request = instance_pb2.DrainInstanceRequest(term=self._term, resume=True)
        return conversion.drain_from_proto(await self._call(self._stub.Drain, request))

    async def adopt(self, member: int, life: int, slab_directory: str) -> None:
        """An exception: the slabs can't be used, or the instance does not answer."""
        request = instance_pb2.AdoptRequest(term=self._term, member=member, life=life, slab_directory=slab_directory)
        await self._call(self._stub.Adopt, request)

    async def death(self, death: Death) -> ViewProgress:
        request = view_conversion.death_to_proto(replace(death, term=self._term))
        return view_conversion.progress_from_proto(await self._call(self._stub.Death, request))

    async def view_progress(self) -> ViewProgress:
        request = instance_pb2.GetViewProgressRequest()
        return view_conversion.progress_from_proto(await self._call(self._stub.GetViewProgress, request))

    async def end_view(self, view: int, dead: Mapping[int, int]) -> ViewProgress:
        request = instance_pb2.EndViewRequest(
            term=self._term,
            view=view,
            dead=[instance_pb2.DeadMember(member=member, life=life) for member, life in dead.items()],
        )
        return view_conversion.progress_from_proto(await self._call(self._stub.EndView, request))

    async def keep_alive(self, asked_ns: int, deadline_s: float, *, declared_dead: bool) -> FenceProgress:
        """The controller's voice."""
        request = instance_pb2.KeepAliveRequest(term=self._term, asked_ns=asked_ns, declared_dead=declared_dead)
        return fence_conversion.progress_from_proto(await self._call(self._stub.KeepAlive, request, deadline_s))

    async def fence(self, dead: Mapping[int, int]) -> None:
        """It hears nothing any more from these lives of members."""
        request = instance_pb2.FenceRequest(
            term=self._term,
            dead=[instance_pb2.DeadMember(member=member, life=life) for member, life in dead.items()],
        )
        await self._call(self._stub.Fence, request)

    async def statistics(self) -> tuple[Statistic, ...]:
        reply = await self._call(self._stub.GetStatistics, common_pb2.GetStatisticsRequest())
        return tuple(conversion.statistic_from_proto(row) for row in reply.statistics)

    async def classes(self, deadline_s: float = COMMAND_DEADLINE_S) -> tuple[ClassInformation, ...]:
        reply = await self._call(self._stub.ListClasses, common_pb2.ListClassesRequest(), deadline_s)
        return tuple(conversion.class_from_proto(each) for each in reply.classes)

    async def state_count(self, cursor: int) -> tuple[tuple[int, ...], int, bool]:
        """Plane remote: a page of how many objects of each class the server has; the next cursor, and whether that was
        the end."""
        reply = await self._call(self._stub.CountState, instance_pb2.CountStateRequest(cursor=cursor))
        return tuple(reply.objects), reply.cursor, reply.end

    async def state_get(self, class_name: str, key: bytes) -> StateRow | None:
        request = instance_pb2.GetInstanceStateRequest(class_name=class_name, key=key)
        reply = await self._call(self._stub.GetState, request)
        return conversion.state_row_from_proto(reply.row) if reply.HasField("row") else None

    async def state_list(self, class_name: str, limit: int) -> AsyncIterator[StateRow]:
        """All rows of a class, page by page; `limit` a page."""
        cursor, end = 0, False
        while not end:
            request = instance_pb2.ListInstanceStateRequest(class_name=class_name, cursor=cursor, limit=limit)
            reply = await self._call(self._stub.ListState, request)
            for row in reply.rows:
                yield conversion.state_row_from_proto(row)
            cursor, end = reply.cursor, reply.end

    async def fates(self, fate: Fate) -> AsyncIterator[FateRow]:
        """Objects that had that fate, page by page, the oldest first."""
        cursor, end = 0, False
        while not end:
            request = instance_pb2.ListFatesRequest(fate=instance_pb2.Fate.ValueType(int(fate)), cursor=cursor)
            reply = await self._call(self._stub.ListFates, request)
            for row in reply.rows:
                yield view_conversion.fate_row_from_proto(row)
            cursor, end = reply.cursor, reply.end

    async def run_task(self, task: str, arguments: str, deadline_ms: int) -> str:
        request = instance_pb2.RunInstanceTaskRequest(task=task, arguments=arguments, deadline_ms=deadline_ms)
        reply = await self._call(self._stub.RunTask, request, deadline_ms / 1000 + COMMAND_DEADLINE_S)
        return str(reply.reply)

    async def events(self) -> AsyncIterator[Event]:
        await rpc.listening(self._address, EVENTS_DEADLINE_S)
        request = common_pb2.WatchEventsRequest()
        async for event in rpc.stream(self._stub.WatchEvents, request, EVENTS_DEADLINE_S, self.name, wait=True):
            yield conversion.event_from_proto(event)

    async def stop(self) -> None:
        await self._call(self._stub.Stop, common_pb2.StopRequest())
