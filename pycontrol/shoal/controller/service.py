# SPDX-License-Identifier: BSD-3-Clause
"""The controller's gRPC servant."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from shoal import controller_conversion as convert
from shoal import conversion, view_conversion
from shoal.controller.checking import check
from shoal.controller.cluster import Cluster
from shoal.controller.observation import Observation
from shoal.controller.operation import Operation
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.state_reader import StateReader
from shoal.errors import InvalidRequestError, RefusedError
from shoal.event_log import EventLog
from shoal.proto import common_pb2, controller_pb2, controller_pb2_grpc
from shoal.validation import (
    DEADLINE_MAX_MS,
    FILE_MAX,
    FILE_NAME_MAX,
    NAME_MAX,
    PATH_MAX,
    STREAMS_MAX,
    check_options,
    require_at_most,
    require_between,
    require_name,
    require_text,
)

Context = Any


async def _updates(operation: Operation) -> AsyncIterator[controller_pb2.OperationUpdate]:
    async for update in operation.updates():
        yield convert.update_to_proto(update)


class ControllerService(controller_pb2_grpc.ControllerServiceServicer):
    """Each call is one of the cluster's."""

    def __init__(self, cluster: Cluster, observation: Observation, events: EventLog) -> None:
        self._cluster = cluster
        self._observation = observation
        self._events = events

    # --- operations

    async def Deploy(self, request: Any, context: Context) -> AsyncIterator[Any]:
        require_at_most("text", request.text, FILE_MAX)
        by = require_text("by", request.by, NAME_MAX)
        checked = await asyncio.to_thread(check, require_text("file", request.file, FILE_NAME_MAX), request.text)
        async for update in _updates(self._cluster.deploy(checked, by)):
            yield update

    async def Scale(self, request: Any, context: Context) -> AsyncIterator[Any]:
        name = require_name("network_function", request.network_function)
        async for update in _updates(self._cluster.scale(name, request.instances)):
            yield update

    async def Remove(self, request: Any, context: Context) -> AsyncIterator[Any]:
        async for update in _updates(self._cluster.remove(require_name("instance", request.instance))):
            yield update

    async def Drain(self, request: Any, context: Context) -> AsyncIterator[Any]:
        async for update in _updates(self._cluster.drain(require_name("instance", request.instance))):
            yield update

    async def Down(self, request: Any, context: Context) -> AsyncIterator[Any]:
        async for update in _updates(self._cluster.down(require_text("deployed_by", request.deployed_by, NAME_MAX))):
            yield update

    # --- looking in

    async def GetStatus(self, request: Any, context: Context) -> Any:
        status = convert.status_to_proto(await self._observation.status())
        status.last_event = self._events.last
        return status

    async def ListInstances(self, request: Any, context: Context) -> Any:
        status = await self._observation.status()
        return controller_pb2.ListInstancesReply(
            instances=[convert.instance_to_proto(instance) for instance in status.instances]
        )

    async def GetStatistics(self, request: Any, context: Context) -> Any:
        return convert.statistics_to_proto(await self._observation.statistics())

    async def WatchEvents(self, request: Any, context: Context) -> AsyncIterator[Any]:
        async for event in self._events.watch(request.after):
            yield conversion.event_to_proto(event)

    async def ListDeaths(self, request: Any, context: Context) -> Any:
        return view_conversion.list_to_proto(self._cluster.recovery.deaths())

    async def ListDeathKeys(self, request: Any, context: Context) -> AsyncIterator[Any]:
        fate = require_text("fate", request.fate, NAME_MAX)
        async for each in self._reader().death_keys(request.view, fate, request.limit):
            yield convert.death_key_to_proto(each)

    # --- state

    def _reader(self) -> StateReader:
        return StateReader(self._cluster.nf, self._cluster.fleet.instances)

    async def ListClasses(self, request: Any, context: Context) -> Any:
        in_store = self._cluster.deployed.plane == "remote"
        classes = await (self._reader().classes_in_store() if in_store else self._reader().classes())
        return common_pb2.ListClassesReply(classes=[convert.class_to_proto(each) for each in classes])

    async def GetState(self, request: Any, context: Context) -> Any:
        require_at_most("key", request.key)
        for field in request.key:
            require_text("the name of a field of the key", field.name, NAME_MAX)
            require_text("key", field.value, PATH_MAX)
        key = {field.name: field.value for field in request.key}
        if len(key) != len(request.key):
            raise InvalidRequestError("a field of the key is given twice")
        objects = await self._reader().get(require_name("class_name", request.class_name), key)
        return controller_pb2.GetStateReply(objects=[convert.object_to_proto(each) for each in objects])

    async def ListState(self, request: Any, context: Context) -> AsyncIterator[Any]:
        if request.instance:
            self._cluster.fleet.get(require_name("instance", request.instance))
        class_name = require_name("class_name", request.class_name)
        async for each in self._reader().list(class_name, request.limit, request.instance):
            yield convert.object_to_proto(each)

    async def RunTask(self, request: Any, context: Context) -> Any:
        deadline_ms = require_between("deadline_ms", request.deadline_ms or 5000, 1, DEADLINE_MAX_MS)
        require_name("task", request.task)
        require_text("arguments", request.arguments)
        if request.instance:
            require_name("instance", request.instance)
        fleet = self._cluster.fleet
        chosen = (fleet.get(request.instance),) if request.instance else fleet.instances
        alive = [running for running in chosen if not running.ended and (request.instance or not running.stalled)]
        if not alive:
            raise RefusedError("no instance runs")
        replies = await asyncio.gather(
            *(running.client.run_task(request.task, request.arguments, deadline_ms) for running in alive)
        )
        return controller_pb2.RunTaskReply(
            answers=[
                controller_pb2.RunTaskReply.Answer(instance=running.stored.name, reply=reply)
                for running, reply in zip(alive, replies, strict=True)
            ]
        )

    # --- traffic

    def _generator(self) -> SplitterClient:
        client = self._cluster.splitter_client
        if client is None:
            raise RefusedError("no splitter is deployed: the built-in generator lives in its process")
        return client

    async def StartTraffic(self, request: Any, context: Context) -> Any:
        require_text("name", request.name, PATH_MAX)
        require_at_most("streams", request.streams, STREAMS_MAX)
        check_options(request.options)
        report = await self._generator().start_traffic(request.name, request.streams, dict(request.options))
        self._events.add("traffic.started", request.name, "the built-in generator sends")
        return conversion.traffic_to_proto(report)

    async def StopTraffic(self, request: Any, context: Context) -> Any:
        report = await self._generator().stop_traffic()
        self._events.add("traffic.stopped", report.name, "the built-in generator has stopped")
        return conversion.traffic_to_proto(report)

    async def GetTraffic(self, request: Any, context: Context) -> Any:
        return conversion.traffic_to_proto(await self._generator().traffic())

    async def WatchTraffic(self, request: Any, context: Context) -> AsyncIterator[Any]:
        period_s = max(require_between("period_ms", request.period_ms, 0, DEADLINE_MAX_MS), 50) / 1000
        running = True
        while running:
            report = await self._generator().traffic()
            running = report.running
            yield conversion.traffic_to_proto(report)
            if running:
                await asyncio.sleep(period_s)
