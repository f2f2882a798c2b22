# SPDX-License-Identifier: BSD-3-Clause
"""A client of the controller: our values, one method for each call, a deadline on each."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from shoal import controller_conversion as convert
from shoal import conversion, rpc, view_conversion
from shoal.model import (
    ClassState,
    ClusterStatus,
    ComponentStatistics,
    DeathKey,
    Deaths,
    Event,
    OperationUpdate,
    StateObject,
    TaskAnswer,
    TrafficReport,
)
from shoal.proto import common_pb2, controller_pb2, controller_pb2_grpc, splitter_pb2

CALL_DEADLINE_S: Final = 10.0
TRAFFIC_DEADLINE_S: Final = 40.0
OPERATION_DEADLINE_S: Final = 3600.0
WATCH_DEADLINE_S: Final = 7 * 86400.0
_WHERE: Final = "controller"


class Client:
    """One controller. Errors are those of shoal.errors."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = rpc.open_channel(address)
        self._stub: controller_pb2_grpc.ControllerServiceAsyncStub = controller_pb2_grpc.ControllerServiceStub(
            self._channel
        )

    async def close(self) -> None:
        await self._channel.close()

    async def _call(self, method: Any, request: Any, deadline_s: float = CALL_DEADLINE_S) -> Any:
        return await rpc.call(method, request, deadline_s, _WHERE)

    async def _operation(self, method: Any, request: Any) -> AsyncIterator[OperationUpdate]:
        async for update in rpc.stream(method, request, OPERATION_DEADLINE_S, _WHERE):
            yield convert.update_from_proto(update)

    # --- operations: iterate to the end; the last update is `done`

    def deploy(self, file: str, text: str, by: str = "") -> AsyncIterator[OperationUpdate]:
        """ConfigError with all faults where the file is refused. `by` names the caller to a later `down`."""
        return self._operation(self._stub.Deploy, controller_pb2.DeployRequest(file=file, text=text, by=by))

    def scale(self, name: str, instances: int) -> AsyncIterator[OperationUpdate]:
        request = controller_pb2.ScaleRequest(network_function=name, instances=instances)
        return self._operation(self._stub.Scale, request)

    def remove(self, instance: str) -> AsyncIterator[OperationUpdate]:
        return self._operation(self._stub.Remove, controller_pb2.RemoveRequest(instance=instance))

    def drain(self, instance: str) -> AsyncIterator[OperationUpdate]:
        return self._operation(self._stub.Drain, controller_pb2.DrainRequest(instance=instance))

    def down(self, deployed_by: str = "") -> AsyncIterator[OperationUpdate]:
        """With `deployed_by`: RefusedError where another's deployment is there."""
        return self._operation(self._stub.Down, controller_pb2.DownRequest(deployed_by=deployed_by))

    # --- looking in

    async def wait_reachable(self, deadline_s: float) -> ClusterStatus:
        """Waits until the controller listens."""
        await rpc.listening(self._address, deadline_s)
        request = controller_pb2.GetStatusRequest()
        return convert.status_from_proto(await rpc.call_when_ready(self._stub.GetStatus, request, deadline_s, _WHERE))

    async def status(self) -> ClusterStatus:
        return convert.status_from_proto(await self._call(self._stub.GetStatus, controller_pb2.GetStatusRequest()))

    async def statistics(self) -> tuple[ComponentStatistics, ...]:
        reply = await self._call(self._stub.GetStatistics, common_pb2.GetStatisticsRequest())
        return convert.statistics_from_proto(reply)

    async def last_event(self) -> int:
        """Number of the latest event; 0: none yet."""
        return int((await self._call(self._stub.GetStatus, controller_pb2.GetStatusRequest())).last_event)

    async def deaths(self) -> tuple[Deaths, ...]:
        """The view changes that there were, the oldest first."""
        return view_conversion.list_from_proto(
            await self._call(self._stub.ListDeaths, controller_pb2.ListDeathsRequest())
        )

    async def death_keys(self, view: int = 0, fate: str = "", limit: int = 0) -> AsyncIterator[DeathKey]:
        """Which objects deaths adopted, rejected, lost; 0 and "": all."""
        request = controller_pb2.ListDeathKeysRequest(view=view, fate=fate, limit=limit)
        async for each in rpc.stream(self._stub.ListDeathKeys, request, OPERATION_DEADLINE_S, _WHERE):
            yield convert.death_key_from_proto(each)

    async def events(self, after: int = 0) -> AsyncIterator[Event]:
        """Kept events later than `after`, then new ones as they come."""
        request = common_pb2.WatchEventsRequest(after=after)
        async for event in rpc.stream(self._stub.WatchEvents, request, WATCH_DEADLINE_S, _WHERE):
            yield conversion.event_from_proto(event)

    # --- state

    async def classes(self) -> tuple[ClassState, ...]:
        reply = await self._call(self._stub.ListClasses, common_pb2.ListClassesRequest())
        return tuple(convert.class_from_proto(each) for each in reply.classes)

    async def state_get(self, class_name: str, key: Mapping[str, str]) -> tuple[StateObject, ...]:
        """What each instance knows of a key; the field name "" stands for all fields in order."""
        request = controller_pb2.GetStateRequest(
            class_name=class_name, key=[common_pb2.Setting(name=name, value=value) for name, value in key.items()]
        )
        reply = await self._call(self._stub.GetState, request)
        return tuple(convert.object_from_proto(each) for each in reply.objects)

    async def state_list(self, class_name: str, limit: int = 0, instance: str = "") -> AsyncIterator[StateObject]:
        request = controller_pb2.ListStateRequest(class_name=class_name, limit=limit, instance=instance)
        async for each in rpc.stream(self._stub.ListState, request, OPERATION_DEADLINE_S, _WHERE):
            yield convert.object_from_proto(each)

    async def run_task(
        self, task: str, arguments: str = "", instance: str = "", deadline_ms: int = 5000
    ) -> tuple[TaskAnswer, ...]:
        request = controller_pb2.RunTaskRequest(
            task=task, arguments=arguments, instance=instance, deadline_ms=deadline_ms
        )
        reply = await self._call(self._stub.RunTask, request, deadline_ms / 1000 + CALL_DEADLINE_S)
        return tuple(TaskAnswer(answer.instance, answer.reply) for answer in reply.answers)

    # --- traffic

    async def start_traffic(self, name: str, streams: bytes, options: Mapping[str, str]) -> TrafficReport:
        """`streams`: compiled streams as JSON (shoal.traffic)."""
        request = splitter_pb2.StartTrafficRequest(name=name, streams=streams, options=options)
        return conversion.traffic_from_proto(await self._call(self._stub.StartTraffic, request, TRAFFIC_DEADLINE_S))

    async def stop_traffic(self) -> TrafficReport:
        request = splitter_pb2.StopTrafficRequest()
        return conversion.traffic_from_proto(await self._call(self._stub.StopTraffic, request, TRAFFIC_DEADLINE_S))

    async def traffic(self) -> TrafficReport:
        request = splitter_pb2.GetTrafficRequest()
        return conversion.traffic_from_proto(await self._call(self._stub.GetTraffic, request, TRAFFIC_DEADLINE_S))

    async def watch_traffic(self, period_ms: int) -> AsyncIterator[TrafficReport]:
        request = controller_pb2.WatchTrafficRequest(period_ms=period_ms)
        async for report in rpc.stream(self._stub.WatchTraffic, request, WATCH_DEADLINE_S, _WHERE):
            yield conversion.traffic_from_proto(report)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Client]:
    """A client that is closed afterwards."""
    client = Client(address)
    try:
        yield client
    finally:
        await client.close()
