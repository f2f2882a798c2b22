# SPDX-License-Identifier: BSD-3-Clause
"""The instance's gRPC servant: turns the controller's calls into calls of the worker."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from shoal import conversion, fence_conversion, slabs, view_conversion
from shoal.agent.checks import check_configuration, check_learn
from shoal.agent.deaths import Deaths
from shoal.agent.fencing import Fencing
from shoal.agent.looking import Looking
from shoal.agent.packets import Packets
from shoal.agent.peers import CONNECT_DEADLINE_S, Peers
from shoal.agent.worker import Worker, WorkerConfig, plan_of
from shoal.errors import RefusedError, StaleTermError
from shoal.event_log import EventLog
from shoal.metrics import Exporter, Sample
from shoal.model import InstanceReport, Peer
from shoal.process_host import ControlThread
from shoal.proto import common_pb2, instance_pb2, instance_pb2_grpc
from shoal.run_directory import ProcessDirectory
from shoal.validation import (
    DEADLINE_MAX_MS,
    require_at_most,
    require_between,
    require_member,
    require_name,
    require_path,
    require_term,
    require_text,
)
from shoal_dataplane import KEY_BYTES_MAX, MEMBERS_MAX, DataplaneError, Plan

CONNECT_POLL_S = 0.02
PAGE = 256
PAGE_MAX = 1024

Context = Any


def worker_config(request: instance_pb2.ConfigureInstanceRequest, directory: ProcessDirectory) -> WorkerConfig:
    return WorkerConfig(
        name=request.name,
        member=request.member,
        life=request.life,
        cluster=request.cluster,
        hash_seed=request.hash_seed,
        nf_path=request.nf_path,
        settings={setting.name: setting.value for setting in request.settings},
        sizes=conversion.sizes_from_proto(request.sizes),
        runner=conversion.runner_from_proto(request.runner),
        eal=tuple(request.eal),
        ports=tuple(conversion.port_from_proto(port) for port in request.ports),
        listen_address=request.listen_address,
        listen_port=request.listen_port,
        lease_ms=request.lease_ms,
        plane=conversion.plane_from_proto(request.plane),
        pipe=conversion.runner_from_proto(request.pipe) if request.HasField("pipe") else None,
        slab_directories=slabs.candidates(directory.path, request.life),
    )


class InstanceService(instance_pb2_grpc.InstanceServiceServicer):
    """One worker, its peers and its packet ring. `stop` is set when the controller tells it to end."""

    def __init__(self, directory: ProcessDirectory, stop: asyncio.Event) -> None:
        self._directory = directory
        self._stop = stop
        self._thread = ControlThread(directory.path.name)
        self._events = EventLog()
        self._packets = Packets(self._thread, self._splitter_ended)
        self._peers: Peers | None = None
        self._made: Worker | None = None  # writer: the control thread, so that it is known however a call ends
        self._worker: Worker | None = None  # the same, once all that belongs to it runs
        self._deaths: Deaths | None = None
        self._fencing: Fencing | None = None
        self._looking: Looking | None = None
        self._exporter: Exporter | None = None
        self._term = 0
        self._configuring = asyncio.Lock()
        self._draining = False

    # --- life

    def _check_term(self, term: int) -> None:
        if require_term(term) < self._term:
            raise StaleTermError(term, self._term)
        self._term = term

    @property
    def _started(self) -> tuple[Worker, Peers]:
        if self._worker is None or self._peers is None:
            raise RefusedError("the instance is not configured yet")
        return self._worker, self._peers

    async def Configure(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        check_configuration(request)
        async with self._configuring:
            if self._worker is None:
                await self._configure(request)
            elif self._worker.config != worker_config(request, self._directory):
                raise RefusedError("the instance is configured already, and otherwise")
        return conversion.instance_report_to_proto(await self._report())

    async def _configure(self, request: instance_pb2.ConfigureInstanceRequest) -> None:
        config = worker_config(request, self._directory)
        worker = await self._thread.run(self._make, config)
        self._peers = Peers(self._directory.peers, self._thread, self._peer_ended, config.sizes.channel_bytes)
        await self._peers.start(worker.instance, config.cluster, config.member, config.life)
        self._deaths = Deaths(worker, self._peers, self._thread)
        self._fencing = Fencing(worker, self._peers, self._thread, self._events, self._stop)
        self._looking = Looking(worker, self._thread)
        if request.metrics_address:
            self._exporter = Exporter(request.metrics_address, self._samples)
        self._worker = worker
        self._events.add("instance.configured", config.name, f"member {config.member}, life {config.life}")

    def _make(self, config: WorkerConfig) -> Worker:
        if self._made is not None:
            raise RefusedError("an earlier configuration failed: the instance must be started anew")
        self._made = Worker(config, self._directory.path)
        return self._made

    def _unmake(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def _samples(self) -> tuple[Sample, ...]:
        if self._worker is None:
            return ()
        return (Sample({"instance": self._worker.config.name}, self._thread.run_now(self._worker.statistics)),)

    async def GetReport(self, request: Any, context: Context) -> Any:
        return conversion.instance_report_to_proto(await self._report())

    async def _report(self) -> InstanceReport:
        worker = self._worker
        config = worker.config if worker else None
        return InstanceReport(
            name=config.name if config else self._directory.path.name,
            configured=worker is not None,
            member=config.member if config else 0,
            life=config.life if config else 0,
            cluster=config.cluster if config else 0,
            term=self._term,
            process=os.getpid(),
            packets_attached=self._packets.attached,
            peers=self._peers.members if self._peers else frozenset(),
            progress=await self._thread.run(worker.progress) if worker else None,
            slab_directory=str(worker.slab_directory) if worker else "",
            view=await self._deaths.progress() if self._deaths else None,
        )

    async def Stop(self, request: Any, context: Context) -> Any:
        self._stop.set()
        return common_pb2.StopReply()

    def end_streams(self) -> None:
        """Lets who watches events go, so that the server's end need not wait for them."""
        self._events.close()

    async def close(self) -> None:
        """Takes everything down: first what comes in, last the worker, also one that is only just starting."""
        if self._fencing is not None:
            await self._fencing.close()
        await self._packets.close()
        if self._peers is not None:
            await self._peers.close()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close)
        self._worker = None
        if self._looking is not None:
            await asyncio.to_thread(self._looking.close)
        await self._thread.run(self._unmake)
        self._thread.close()

    # --- packets and peers

    async def AttachPackets(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        worker, _ = self._started
        config = worker.config
        identity = (config.cluster, config.member, config.life)
        socket = Path(require_path("splitter_socket", request.splitter_socket))
        await self._packets.attach(worker.instance, identity, socket, request.splitter_process)
        return instance_pb2.AttachPacketsReply()

    async def DetachPackets(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        await self._packets.detach()
        return instance_pb2.DetachPacketsReply()

    def _splitter_ended(self) -> None:
        self._events.add("splitter.ended", "splitter", "the splitter's process ended: no packets come any more")

    def _peer_ended(self, peer: Peer, reason: str) -> None:
        self._events.add("peer.ended", peer.name, reason, member=str(peer.member), life=str(peer.life))

    # --- the stages of a reorganisation

    async def Learn(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        worker, peers = self._started
        check_learn(request)
        now = [conversion.peer_from_proto(peer) for peer in request.members_now]
        following = [conversion.peer_from_proto(peer) for peer in request.members_next]
        plan = plan_of(
            request.term,
            (request.epoch_now, request.epoch_next),
            (request.steering_now, request.steering_next),
            (now, following),
            request.expected_objects,
            request.owner_now,
        )
        await peers.connect({peer.member: peer for peer in (*now, *following)}.values())
        await self._learn(worker, plan)
        return await self._stage_reply()

    async def _learn(self, worker: Worker, plan: Plan) -> None:
        """A channel by TCP comes up while the worker polls; until then it refuses the plan."""
        until = asyncio.get_running_loop().time() + CONNECT_DEADLINE_S
        while True:
            try:
                await self._thread.run(worker.instance.learn, plan)
                return
            except DataplaneError as error:
                if error.code != errno.ENOTCONN or asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(CONNECT_POLL_S)

    async def Abandon(self, request: Any, context: Context) -> Any:
        return await self._stage(request, "abandon")

    async def HandOver(self, request: Any, context: Context) -> Any:
        return await self._stage(request, "hand_over")

    async def MarkersBack(self, request: Any, context: Context) -> Any:
        return await self._stage(request, "markers_back")

    async def Forget(self, request: Any, context: Context) -> Any:
        require_at_most("left", request.left, MEMBERS_MAX)
        for member in request.left:
            require_member(member)
        reply = await self._stage(request, "forget")
        _, peers = self._started
        await peers.release(request.left)
        return reply

    async def _stage(self, request: Any, command: str) -> instance_pb2.StageReply:
        self._check_term(request.term)
        worker, _ = self._started
        await self._thread.run(getattr(worker.instance, command), request.term, request.epoch)
        return await self._stage_reply()

    async def _stage_reply(self) -> instance_pb2.StageReply:
        worker, _ = self._started
        progress = await self._thread.run(worker.progress)
        return instance_pb2.StageReply(progress=conversion.progress_to_proto(progress))

    async def GetProgress(self, request: Any, context: Context) -> Any:
        worker, _ = self._started
        return conversion.progress_to_proto(await self._thread.run(worker.progress))

    async def Drain(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        worker, _ = self._started
        before = self._draining
        progress = await self._thread.run(worker.drain, draining=not request.resume)
        self._draining = progress.draining
        if self._draining != before:
            text = "it takes no packets any more" if self._draining else "it takes packets again"
            self._events.add("instance.draining", worker.config.name, text)
        return conversion.drain_to_proto(progress)

    # --- a member dies

    @property
    def _mourners(self) -> Deaths:
        if self._deaths is None:
            raise RefusedError("the instance is not configured yet")
        return self._deaths

    async def Adopt(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        await self._mourners.adopt(request)
        return instance_pb2.AdoptReply()

    async def Death(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        return view_conversion.progress_to_proto(await self._mourners.begin(request))

    async def GetViewProgress(self, request: Any, context: Context) -> Any:
        return view_conversion.progress_to_proto(await self._mourners.progress())

    async def EndView(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        return view_conversion.progress_to_proto(await self._mourners.end(request))

    async def ListFates(self, request: Any, context: Context) -> Any:
        return await self._mourners.fates(request)

    # --- between hosts

    @property
    def _fence(self) -> Fencing:
        if self._fencing is None:
            raise RefusedError("the instance is not configured yet")
        return self._fencing

    async def KeepAlive(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        if request.declared_dead:
            await self._fence.shut()
        return fence_conversion.progress_to_proto(await self._fence.keep_alive(request.asked_ns))

    async def Fence(self, request: Any, context: Context) -> Any:
        self._check_term(request.term)
        await self._fence.leave_out(request)
        return instance_pb2.FenceReply()

    # --- looking in

    async def GetStatistics(self, request: Any, context: Context) -> Any:
        worker, _ = self._started
        rows = await self._thread.run(worker.statistics)
        return common_pb2.StatisticsReply(statistics=[conversion.statistic_to_proto(row) for row in rows])

    async def ListClasses(self, request: Any, context: Context) -> Any:
        worker, _ = self._started
        classes = await self._thread.run(worker.classes)
        return common_pb2.ListClassesReply(classes=[conversion.class_to_proto(each) for each in classes])

    @property
    def _looker(self) -> Looking:
        if self._looking is None or self._worker is None:
            raise RefusedError("the instance is not configured yet")
        return self._looking

    async def CountState(self, request: Any, context: Context) -> Any:
        objects, cursor, end = await self._looker.count(request.cursor)
        return instance_pb2.CountStateReply(objects=objects, cursor=cursor, end=end)

    async def GetState(self, request: Any, context: Context) -> Any:
        require_at_most("key", request.key, KEY_BYTES_MAX)
        row = await self._looker.get(require_name("class_name", request.class_name), request.key)
        return instance_pb2.GetInstanceStateReply(row=conversion.state_row_to_proto(row) if row else None)

    async def ListState(self, request: Any, context: Context) -> Any:
        limit = min(request.limit or PAGE, PAGE_MAX)
        class_name = require_name("class_name", request.class_name)
        rows, cursor, end = await self._looker.list(class_name, request.cursor, limit)
        return instance_pb2.ListInstanceStateReply(
            rows=[conversion.state_row_to_proto(row) for row in rows], cursor=cursor, end=end
        )

    async def RunTask(self, request: Any, context: Context) -> Any:
        worker, _ = self._started
        task, arguments = require_name("task", request.task), require_text("arguments", request.arguments)
        deadline_ms = require_between("deadline_ms", request.deadline_ms or 5000, 1, DEADLINE_MAX_MS)
        reply = await self._thread.run(worker.instance.run_task, task, arguments, deadline_ms)
        return instance_pb2.RunInstanceTaskReply(reply=reply)

    async def WatchEvents(self, request: Any, context: Context) -> AsyncIterator[Any]:
        async for event in self._events.watch(request.after):
            yield conversion.event_to_proto(event)
