# SPDX-License-Identifier: BSD-3-Clause
"""Between protobuf types and our values, for what the controller says. (`conversion` has the rest.)"""

from collections.abc import Iterable
from typing import Final

from shoal import conversion
from shoal.model import (
    ClassState,
    ClusterStatus,
    ComponentStatistics,
    DeathKey,
    Field,
    FieldValue,
    InstanceState,
    InstanceStatus,
    OperationUpdate,
    PlanState,
    PlanStatus,
    StateObject,
)
from shoal.proto import common_pb2, controller_pb2

_PLAN_STATES: Final = {
    PlanState.QUEUED: controller_pb2.PLAN_STATE_QUEUED,
    PlanState.LEARNING: controller_pb2.PLAN_STATE_LEARNING,
    PlanState.HANDING_OVER: controller_pb2.PLAN_STATE_HANDING_OVER,
    PlanState.COMPLETE: controller_pb2.PLAN_STATE_COMPLETE,
    PlanState.ABANDONED: controller_pb2.PLAN_STATE_ABANDONED,
    PlanState.OVER: controller_pb2.PLAN_STATE_OVER,
}
_PLAN_STATES_BACK: Final = {number: state for state, number in _PLAN_STATES.items()}

_INSTANCE_STATES: Final = {
    InstanceState.STARTING: controller_pb2.INSTANCE_STATE_STARTING,
    InstanceState.JOINING: controller_pb2.INSTANCE_STATE_JOINING,
    InstanceState.ACTIVE: controller_pb2.INSTANCE_STATE_ACTIVE,
    InstanceState.LEAVING: controller_pb2.INSTANCE_STATE_LEAVING,
    InstanceState.DRAINED: controller_pb2.INSTANCE_STATE_DRAINED,
    InstanceState.STOPPING: controller_pb2.INSTANCE_STATE_STOPPING,
    InstanceState.ENDED: controller_pb2.INSTANCE_STATE_ENDED,
    InstanceState.FENCED: controller_pb2.INSTANCE_STATE_FENCED,
}
_INSTANCE_STATES_BACK: Final = {number: state for state, number in _INSTANCE_STATES.items()}


def plan_to_proto(value: PlanStatus) -> controller_pb2.Plan:
    return controller_pb2.Plan(
        number=value.number,
        epoch=value.epoch,
        kind=value.kind,
        state=_PLAN_STATES[value.state],
        joining=value.joining,
        leaving=value.leaving,
        slots_moved=value.slots_moved,
        steering_moved=value.steering_moved,
        steering_redirected=value.steering_redirected,
        tokens_left=value.tokens_left,
        slots_unswept=value.slots_unswept,
        objects_moved=value.objects_moved,
        bytes_moved=value.bytes_moved,
        parked_most=value.parked_most,
        duration_ms=value.duration_ms,
        started_ns=value.started_ns,
        reason=value.reason,
    )


def plan_from_proto(message: controller_pb2.Plan) -> PlanStatus:
    return PlanStatus(
        number=message.number,
        epoch=message.epoch,
        kind=message.kind,
        state=_PLAN_STATES_BACK[message.state],
        joining=tuple(message.joining),
        leaving=tuple(message.leaving),
        slots_moved=message.slots_moved,
        steering_moved=message.steering_moved,
        steering_redirected=message.steering_redirected,
        tokens_left=message.tokens_left,
        slots_unswept=message.slots_unswept,
        objects_moved=message.objects_moved,
        bytes_moved=message.bytes_moved,
        parked_most=message.parked_most,
        duration_ms=message.duration_ms,
        started_ns=message.started_ns,
        reason=message.reason,
    )


def update_to_proto(value: OperationUpdate) -> controller_pb2.OperationUpdate:
    return controller_pb2.OperationUpdate(
        stage=value.stage,
        text=value.text,
        step=value.step,
        steps=value.steps,
        done=value.done,
        plan=plan_to_proto(value.plan) if value.plan else None,
    )


def update_from_proto(message: controller_pb2.OperationUpdate) -> OperationUpdate:
    plan = plan_from_proto(message.plan) if message.HasField("plan") else None
    return OperationUpdate(message.stage, message.text, message.step, message.steps, message.done, plan)


def instance_to_proto(value: InstanceStatus) -> controller_pb2.Instance:
    return controller_pb2.Instance(
        name=value.name,
        member=value.member,
        life=value.life,
        state=_INSTANCE_STATES[value.state],
        process=value.process,
        host=value.host,
        steering_slots=value.steering_slots,
        tokens=value.tokens,
        objects=value.objects,
        objects_held=value.objects_held,
        leases_moved=value.leases_moved,
        reason=value.reason,
        run_directory=value.run_directory,
        metrics_address=value.metrics_address,
        epoch_stage=value.epoch_stage,
        stalled=value.stalled,
    )


def instance_from_proto(message: controller_pb2.Instance) -> InstanceStatus:
    return InstanceStatus(
        name=message.name,
        member=message.member,
        life=message.life,
        state=_INSTANCE_STATES_BACK[message.state],
        process=message.process,
        host=message.host,
        steering_slots=message.steering_slots,
        tokens=message.tokens,
        objects=message.objects,
        objects_held=message.objects_held,
        leases_moved=message.leases_moved,
        reason=message.reason,
        run_directory=message.run_directory,
        metrics_address=message.metrics_address,
        epoch_stage=message.epoch_stage,
        stalled=message.stalled,
    )


def status_to_proto(value: ClusterStatus) -> controller_pb2.Status:
    return controller_pb2.Status(
        name=value.name,
        network_function=value.network_function,
        term=value.term,
        epoch=value.epoch,
        instances_wanted=value.instances_wanted,
        instances=[instance_to_proto(instance) for instance in value.instances],
        plan=plan_to_proto(value.plan) if value.plan else None,
        plans_waiting=value.plans_waiting,
        splitter=value.splitter,
        process=value.process,
        splitter_process=value.splitter_process,
        uptime_s=value.uptime_s,
        view=value.view,
    )


def status_from_proto(message: controller_pb2.Status) -> ClusterStatus:
    return ClusterStatus(
        name=message.name,
        network_function=message.network_function,
        term=message.term,
        epoch=message.epoch,
        instances_wanted=message.instances_wanted,
        instances=tuple(instance_from_proto(instance) for instance in message.instances),
        plan=plan_from_proto(message.plan) if message.HasField("plan") else None,
        plans_waiting=message.plans_waiting,
        splitter=message.splitter,
        process=message.process,
        splitter_process=message.splitter_process,
        uptime_s=message.uptime_s,
        view=message.view,
    )


def statistics_to_proto(components: Iterable[ComponentStatistics]) -> controller_pb2.ClusterStatistics:
    return controller_pb2.ClusterStatistics(
        components=[
            controller_pb2.ComponentStatistics(
                component=each.component,
                process=each.process,
                statistics=[conversion.statistic_to_proto(row) for row in each.statistics],
            )
            for each in components
        ]
    )


def statistics_from_proto(message: controller_pb2.ClusterStatistics) -> tuple[ComponentStatistics, ...]:
    return tuple(
        ComponentStatistics(
            each.component, each.process, tuple(conversion.statistic_from_proto(row) for row in each.statistics)
        )
        for each in message.components
    )


def field_to_proto(value: Field) -> controller_pb2.Field:
    message = controller_pb2.Field(name=value.name)
    match value.value:
        case bool() as truth:
            message.truth = truth
        case int() as number if number >= 0:
            message.unsigned = number
        case int() as number:
            message.signed = number
        case float() as real:
            message.real = real
        case str() as text:
            message.text = text
        case bytes() as raw:
            message.raw = raw
        case members:
            message.list.SetInParent()
            message.list.array = value.array
            message.list.fields.extend(field_to_proto(member) for member in members)
    return message


def field_from_proto(message: controller_pb2.Field) -> Field:
    kind = message.WhichOneof("value")
    if kind == "list":
        members = tuple(field_from_proto(member) for member in message.list.fields)
        return Field(message.name, members, message.list.array)
    value: FieldValue = getattr(message, kind) if kind else 0
    return Field(message.name, value)


def class_to_proto(value: ClassState) -> common_pb2.StateClass:
    return common_pb2.StateClass(
        name=value.name,
        multi_writer=value.multi_writer,
        key_bytes=value.key_bytes,
        object_bytes=value.object_bytes,
        objects=value.objects,
        capacity=value.capacity,
        at_least=value.at_least,
        remark=value.remark,
    )


def class_from_proto(message: common_pb2.StateClass) -> ClassState:
    return ClassState(
        name=message.name,
        multi_writer=message.multi_writer,
        key_bytes=message.key_bytes,
        object_bytes=message.object_bytes,
        objects=message.objects if message.HasField("objects") else None,
        capacity=message.capacity if message.HasField("capacity") else None,
        at_least=message.at_least,
        remark=message.remark,
    )


def object_to_proto(value: StateObject) -> controller_pb2.StateObject:
    return controller_pb2.StateObject(
        class_name=value.class_name,
        instance=value.instance,
        holder=value.holder,
        place=value.place,
        incarnation=value.incarnation,
        lease=value.lease,
        idle_ms=value.idle_ms,
        key=[field_to_proto(field) for field in value.key],
        object=[field_to_proto(field) for field in value.object],
    )


def object_from_proto(message: controller_pb2.StateObject) -> StateObject:
    return StateObject(
        class_name=message.class_name,
        instance=message.instance,
        holder=message.holder,
        place=message.place,
        incarnation=message.incarnation,
        lease=message.lease,
        idle_ms=message.idle_ms,
        key=tuple(field_from_proto(field) for field in message.key),
        object=tuple(field_from_proto(field) for field in message.object),
    )


def death_key_to_proto(value: DeathKey) -> controller_pb2.DeathKey:
    return controller_pb2.DeathKey(
        view=value.view,
        fate=value.fate,
        class_name=value.class_name,
        instance=value.instance,
        key=[field_to_proto(field) for field in value.key],
    )


def death_key_from_proto(message: controller_pb2.DeathKey) -> DeathKey:
    key = tuple(field_from_proto(field) for field in message.key)
    return DeathKey(message.view, message.fate, message.class_name, message.instance, key)
