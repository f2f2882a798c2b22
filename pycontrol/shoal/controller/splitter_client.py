# SPDX-License-Identifier: BSD-3-Clause
"""The controller's end of the splitter's service."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from shoal import conversion, rpc
from shoal.errors import UnreachableError
from shoal.model import Event, RedirectProgress, SplitterReport, Statistic, TrafficReport
from shoal.proto import common_pb2, splitter_pb2, splitter_pb2_grpc
from shoal.splitter.plane import PlaneConfig
from shoal_dataplane.plan import to_bits

CONFIGURE_DEADLINE_S: Final = 60.0
COMMAND_DEADLINE_S: Final = 5.0
TRAFFIC_DEADLINE_S: Final = 30.0
EVENTS_DEADLINE_S: Final = 7 * 86400.0
NAME: Final = "splitter"


class SplitterClient:
    """The splitter. `term` goes with every command."""

    def __init__(self, address: str, term: int) -> None:
        self._address = address
        self._term = term
        self._open()

    def _open(self) -> None:
        self._suspended = ""
        self._channel = rpc.open_channel(self._address)
        self._stub: splitter_pb2_grpc.SplitterServiceAsyncStub = splitter_pb2_grpc.SplitterServiceStub(self._channel)

    def suspend(self, reason: str) -> None:
        """The process has ended: every call fails until `reopen`."""
        self._suspended = reason

    async def reopen(self) -> None:
        """For a fresh process at the same address, which is ready."""
        before = self._channel
        self._open()
        await before.close()

    async def close(self) -> None:
        await self._channel.close()

    async def _call(self, method: Any, request: Any, deadline_s: float = COMMAND_DEADLINE_S) -> Any:
        if self._suspended:
            raise UnreachableError(self._suspended)
        return await rpc.call(method, request, deadline_s, NAME)

    async def wait_reachable(self, deadline_s: float) -> SplitterReport:
        """Waits until it listens."""
        await rpc.listening(self._address, deadline_s)
        return conversion.splitter_report_from_proto(
            await rpc.call_when_ready(self._stub.GetReport, splitter_pb2.GetSplitterReportRequest(), deadline_s, NAME)
        )

    async def configure(self, config: PlaneConfig, metrics_address: str) -> SplitterReport:
        request = splitter_pb2.ConfigureSplitterRequest(
            term=self._term,
            name=config.name,
            cluster=config.cluster,
            nf_path=config.nf_path,
            settings=conversion.settings_to_proto(dict(config.settings)),
            ports=[conversion.port_to_proto(port) for port in config.ports],
            packets=config.packets,
            parked=config.parked,
            fragments=config.fragments,
            ring_bytes=config.ring_bytes,
            runner=conversion.runner_to_proto(config.runner),
            eal=config.eal,
            metrics_address=metrics_address,
        )
        return conversion.splitter_report_from_proto(
            await self._call(self._stub.Configure, request, CONFIGURE_DEADLINE_S)
        )

    async def report(self) -> SplitterReport:
        return conversion.splitter_report_from_proto(
            await self._call(self._stub.GetReport, splitter_pb2.GetSplitterReportRequest())
        )

    async def attach_member(self, member: int, life: int) -> str:
        """The path of the socket where the instance fetches its ring."""
        request = splitter_pb2.AttachMemberRequest(term=self._term, member=member, life=life)
        return str((await self._call(self._stub.AttachMember, request)).ring_socket)

    async def detach_member(self, member: int) -> None:
        request = splitter_pb2.DetachMemberRequest(term=self._term, member=member)
        await self._call(self._stub.DetachMember, request)

    async def set_table(self, members: bytes) -> None:
        await self._call(self._stub.SetTable, splitter_pb2.SetTableRequest(term=self._term, members=members))

    async def redirect(self, steering_slots: frozenset[int], member: int) -> RedirectProgress:
        request = splitter_pb2.RedirectRequest(term=self._term, steering_slots=to_bits(steering_slots), member=member)
        return conversion.redirect_from_proto(await self._call(self._stub.Redirect, request))

    async def redirect_progress(self, *, reset: bool = False) -> RedirectProgress:
        request = splitter_pb2.GetRedirectProgressRequest(reset=reset)
        return conversion.redirect_from_proto(await self._call(self._stub.GetRedirectProgress, request))

    async def statistics(self) -> tuple[Statistic, ...]:
        reply = await self._call(self._stub.GetStatistics, common_pb2.GetStatisticsRequest())
        return tuple(conversion.statistic_from_proto(row) for row in reply.statistics)

    async def start_traffic(self, name: str, streams: bytes, options: Mapping[str, str]) -> TrafficReport:
        request = splitter_pb2.StartTrafficRequest(name=name, streams=streams, options=options)
        return conversion.traffic_from_proto(await self._call(self._stub.StartTraffic, request, TRAFFIC_DEADLINE_S))

    async def stop_traffic(self) -> TrafficReport:
        request = splitter_pb2.StopTrafficRequest()
        return conversion.traffic_from_proto(await self._call(self._stub.StopTraffic, request, TRAFFIC_DEADLINE_S))

    async def traffic(self) -> TrafficReport:
        request = splitter_pb2.GetTrafficRequest()
        return conversion.traffic_from_proto(await self._call(self._stub.GetTraffic, request, TRAFFIC_DEADLINE_S))

    async def events(self) -> AsyncIterator[Event]:
        await rpc.listening(self._address, EVENTS_DEADLINE_S)
        request = common_pb2.WatchEventsRequest()
        async for event in rpc.stream(self._stub.WatchEvents, request, EVENTS_DEADLINE_S, NAME, wait=True):
            yield conversion.event_from_proto(event)

    async def stop(self) -> None:
        await self._call(self._stub.Stop, common_pb2.StopRequest())
