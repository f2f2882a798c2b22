# SPDX-License-Identifier: BSD-3-Clause
"""The splitter's gRPC servant."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any, Final

from shoal import conversion
from shoal.agent.checks import check_ports, check_process, check_settings
from shoal.errors import InvalidRequestError, RefusedError, StaleTermError
from shoal.event_log import EventLog
from shoal.metrics import Exporter, Sample
from shoal.model import SplitterReport, TrafficReport
from shoal.process_host import ControlThread
from shoal.proto import common_pb2, splitter_pb2, splitter_pb2_grpc
from shoal.run_directory import ProcessDirectory
from shoal.splitter.members import Members
from shoal.splitter.plane import Plane, PlaneConfig
from shoal.traffic.fields import StreamsError
from shoal.traffic.options import OptionError
from shoal.traffic.session import SETTLE_S, NotStartedError, Reading
from shoal.validation import (
    OBJECTS,
    PACKETS,
    PATH_MAX,
    STREAMS_MAX,
    check_options,
    require_at_most,
    require_between,
    require_length,
    require_member,
    require_name,
    require_path,
    require_ring_bytes,
    require_term,
    require_text,
)
from shoal_dataplane import STEERING_SLOTS
from shoal_dataplane.plan import bits_of

SETTLE_POLL_S: Final = 0.05

Context = Any


def plane_config(request: splitter_pb2.ConfigureSplitterRequest) -> PlaneConfig:
    return PlaneConfig(
        name=request.name,
        cluster=request.cluster,
        nf_path=request.nf_path,
        settings={setting.name: setting.value for setting in request.settings},
        ports=tuple(conversion.port_from_proto(port) for port in request.ports),
        packets=request.packets,
        parked=request.parked,
        fragments=request.fragments,
        ring_bytes=request.ring_bytes,
        runner=conversion.runner_from_proto(request.runner),
        eal=tuple(request.eal),
    )


def check_configuration(request: splitter_pb2.ConfigureSplitterRequest) -> None:
    """What the data plane does not check itself."""
    require_name("name", request.name)
    require_path("nf_path", request.nf_path)
    check_settings(request.settings)
    check_ports(request.ports)
    require_between("packets", request.packets, *PACKETS)
    require_between("parked", request.parked, *OBJECTS)
    require_between("fragments", request.fragments, *OBJECTS)
    require_ring_bytes("ring_bytes", request.ring_bytes)
    check_process(request.runner, request.eal, request.metrics_address)


class SplitterService(splitter_pb2_grpc.SplitterServiceServicer):
    """The splitter and its members. `stop` is set when the controller tells it to end."""

    def __init__(self, directory: ProcessDirectory, stop: asyncio.Event) -> None:
        self._stop = stop
        self._thread = ControlThread("splitter")
        self._events = EventLog()
        self._members = Members(directory.peers, self._thread, self._member_ended)
        self._directory = directory
        self._made: Plane | None = None  # writer: the control thread, so that it is known however a call ends
        self._plane: Plane | None = None  # the same, once all that belongs to it runs
        self._exporter: Exporter | None = None
        self._term = 0
        self._configuring = asyncio.Lock()

    def _check_term(self, term: int) -> None:
        if require_term(term) < self._term:
            raise StaleTermError(term, self._term)
        self._term = term

    @property
    def _started(self) -> Plane:
        if self._plane is None:
            raise RefusedError("the splitter is not configured yet")
        return self._plane

    def _member_ended(self, member: int, life: int) -> None:
        self._events.add("member.ended", str(member), "its process ended: its packet ring is given up", life=str(life))

    # --- life

    async def Configure(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        check_configuration(request)
        async with self._configuring:
            config = plane_config(request)
            if self._plane is None:
                plane = await self._thread.run(self._make, config)
                await self._members.start(plane.splitter, config.cluster)
                if request.metrics_address:
                    self._exporter = Exporter(request.metrics_address, self._samples)
                self._plane = plane
            elif self._plane.config != config:
                raise RefusedError("the splitter is configured already, and otherwise")
        return conversion.splitter_report_to_proto(await self._report())

    def _make(self, config: PlaneConfig) -> Plane:
        if self._made is not None:
            raise RefusedError("an earlier configuration failed: the splitter must be started anew")
        self._made = Plane(config, self._directory.path)
        return self._made

    def _unmake(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def _samples(self) -> tuple[Sample, ...]:
        if self._plane is None:
            return ()
        return (Sample({"instance": "splitter"}, self._thread.run_now(self._plane.splitter.statistics)),)

    async def GetReport(self, request: Any, context: Context) -> Any:
        return conversion.splitter_report_to_proto(await self._report())

    async def _report(self) -> SplitterReport:
        plane = self._plane
        return SplitterReport(
            configured=plane is not None,
            cluster=plane.config.cluster if plane else 0,
            term=self._term,
            process=os.getpid(),
            ring_socket=str(self._members.socket),
            table=await self._thread.run(plane.splitter.get_table) if plane else b"",
            members=self._members.numbers,
        )

    async def Stop(self, request: Any, context: Context) -> Any:
        self._stop.set()
        return common_pb2.StopReply()

    def end_streams(self) -> None:
        """Lets who watches events go, so that the server's end need not wait for them."""
        self._events.close()

    async def close(self) -> None:
        await self._members.close()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close)
        self._plane = None
        await self._thread.run(self._unmake)
        self._thread.close()

    # --- members and table

    async def AttachMember(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        assert self._started
        await self._members.attach(require_member(request.member), request.life)
        return splitter_pb2.AttachMemberReply(ring_socket=str(self._members.socket))

    async def DetachMember(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        assert self._started
        await self._members.detach(require_member(request.member))
        return splitter_pb2.DetachMemberReply()

    async def SetTable(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        members = require_length("the table", request.members, STEERING_SLOTS)
        await self._thread.run(self._started.splitter.set_table, members)
        return splitter_pb2.SetTableReply()

    async def Redirect(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        splitter = self._started.splitter
        slots = bits_of(require_length("steering_slots", request.steering_slots, STEERING_SLOTS // 8))
        await self._thread.run(splitter.redirect, slots, require_member(request.member))
        return conversion.redirect_to_proto(await self._thread.run(splitter.redirect_progress))

    async def GetRedirectProgress(self, request: Any, context: Context) -> Any:
        progress = await self._thread.run(self._started.splitter.redirect_progress, reset=request.reset)
        return conversion.redirect_to_proto(progress)

    async def GetStatistics(self, request: Any, context: Context) -> Any:
        rows = await self._thread.run(self._started.splitter.statistics)
        return common_pb2.StatisticsReply(statistics=[conversion.statistic_to_proto(row) for row in rows])

    # --- traffic

    async def StartTraffic(self, request: Any, context: Context) -> Any:
        traffic = self._started.traffic
        require_text("name", request.name, PATH_MAX)
        require_at_most("streams", request.streams, STREAMS_MAX)
        check_options(request.options)
        try:
            await self._thread.run(traffic.start, request.name, request.streams, dict(request.options))
        except (StreamsError, OptionError) as error:
            raise InvalidRequestError(str(error)) from error
        return await self._traffic()

    async def StopTraffic(self, request: Any, context: Context) -> Any:
        """Answers once nothing is missing any more, or the time for it is over."""
        await self._thread.run(self._started.traffic.stop)
        until = asyncio.get_running_loop().time() + SETTLE_S
        while not (await self._reading()).settled and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(SETTLE_POLL_S)
        return await self._traffic()

    async def GetTraffic(self, request: Any, context: Context) -> Any:
        return await self._traffic()

    async def _reading(self) -> Reading:
        try:
            return await self._thread.run(self._started.traffic.read)
        except NotStartedError as error:
            raise RefusedError(str(error)) from error

    async def _traffic(self) -> splitter_pb2.TrafficReport:
        reading = await self._reading()
        document = reading.document
        report = TrafficReport(reading.running, reading.name, document.to_json(), tuple(document.faults()))
        return conversion.traffic_to_proto(report)

    async def WatchEvents(self, request: Any, context: Context) -> AsyncIterator[Any]:
        async for event in self._events.watch(request.after):
            yield conversion.event_to_proto(event)
