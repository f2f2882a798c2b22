# SPDX-License-Identifier: BSD-3-Clause
"""Between protobuf types and our values, for what instances and the splitter say."""

from shoal import view_conversion
from shoal.model import (
    ClassInformation,
    DrainProgress,
    Event,
    InstanceReport,
    InstanceSizes,
    Peer,
    Port,
    Progress,
    RedirectProgress,
    RunnerSettings,
    SplitterReport,
    Stage,
    StatePlace,
    StatePlane,
    StateRow,
    Statistic,
    TrafficReport,
)
from shoal.proto import common_pb2, instance_pb2, splitter_pb2
from shoal_dataplane import StatisticKind
from shoal_dataplane.plan import bits_of, to_bits


def statistic_to_proto(value: Statistic) -> common_pb2.Statistic:
    return common_pb2.Statistic(
        name=value.name,
        label=value.label,
        label_value=value.label_value,
        kind=common_pb2.StatisticKind.ValueType(int(value.kind)),
        value=value.value,
        bound=value.bound,
    )


def statistic_from_proto(message: common_pb2.Statistic) -> Statistic:
    kind = StatisticKind(message.kind)
    return Statistic(message.name, message.label, message.label_value, kind, message.value, message.bound)


def event_to_proto(value: Event) -> common_pb2.Event:
    return common_pb2.Event(
        sequence=value.sequence,
        time_ns=value.time_ns,
        kind=value.kind,
        subject=value.subject,
        text=value.text,
        fields=dict(value.fields),
    )


def event_from_proto(message: common_pb2.Event) -> Event:
    return Event(message.sequence, message.time_ns, message.kind, message.subject, message.text, dict(message.fields))


def settings_to_proto(settings: dict[str, str]) -> list[common_pb2.Setting]:
    return [common_pb2.Setting(name=name, value=value) for name, value in settings.items()]


def runner_to_proto(value: RunnerSettings) -> common_pb2.RunnerSettings:
    return common_pb2.RunnerSettings(
        cpu=value.cpu, idle=value.idle, idle_polls=value.idle_polls, sleep_us=value.sleep_us
    )


def runner_from_proto(message: common_pb2.RunnerSettings) -> RunnerSettings:
    return RunnerSettings(message.cpu, message.idle, message.idle_polls, message.sleep_us)


def port_to_proto(value: Port) -> common_pb2.Port:
    return common_pb2.Port(number=value.number, device=value.device)


def port_from_proto(message: common_pb2.Port) -> Port:
    return Port(message.number, message.device)


def plane_to_proto(value: StatePlane) -> instance_pb2.StatePlane:
    return instance_pb2.StatePlane(kind=value.kind, address=value.address, name=value.name)


def plane_from_proto(message: instance_pb2.StatePlane) -> StatePlane:
    return StatePlane(message.kind or "shared", message.address, message.name)


def sizes_to_proto(value: InstanceSizes) -> instance_pb2.InstanceSizes:
    return instance_pb2.InstanceSizes(
        objects=value.objects,
        parked=value.parked,
        microthreads=value.microthreads,
        window=value.window,
        packets=value.packets,
        take_deadline_ms=value.take_deadline_ms,
        channel_bytes=value.channel_bytes,
    )


def sizes_from_proto(message: instance_pb2.InstanceSizes) -> InstanceSizes:
    return InstanceSizes(
        message.objects,
        message.parked,
        message.microthreads,
        message.window,
        message.packets,
        message.take_deadline_ms,
        message.channel_bytes,
    )


def peer_to_proto(value: Peer) -> instance_pb2.Peer:
    return instance_pb2.Peer(
        member=value.member,
        life=value.life,
        name=value.name,
        socket=value.socket,
        address=value.address,
        tcp_port=value.tcp_port,
    )


def peer_from_proto(message: instance_pb2.Peer) -> Peer:
    return Peer(message.member, message.life, message.name, message.socket, message.address, message.tcp_port)


def progress_to_proto(value: Progress) -> instance_pb2.Progress:
    return instance_pb2.Progress(
        stage=instance_pb2.Stage.ValueType(int(value.stage)),
        term=value.term,
        epoch=value.epoch,
        tokens=value.tokens,
        tokens_to_send=value.tokens_to_send,
        tokens_to_receive=value.tokens_to_receive,
        slots_unswept=value.slots_unswept,
        objects=value.objects,
        objects_held=value.objects_held,
        records_moved=value.records_moved,
        leases_moved=value.leases_moved,
        bytes_moved=value.bytes_moved,
        steering_ready=to_bits(value.steering_ready),
        waiting_for=value.waiting_for,
    )


def drain_to_proto(value: DrainProgress) -> instance_pb2.DrainProgress:
    return instance_pb2.DrainProgress(
        draining=value.draining,
        empty=value.empty,
        packets=value.packets,
        microthreads=value.microthreads,
        requests=value.requests,
        channel_bytes=value.channel_bytes,
    )


def drain_from_proto(message: instance_pb2.DrainProgress) -> DrainProgress:
    return DrainProgress(
        message.draining,
        message.empty,
        message.packets,
        message.microthreads,
        message.requests,
        message.channel_bytes,
    )


def progress_from_proto(message: instance_pb2.Progress) -> Progress:
    return Progress(
        stage=Stage(message.stage),
        term=message.term,
        epoch=message.epoch,
        tokens=message.tokens,
        tokens_to_send=message.tokens_to_send,
        tokens_to_receive=message.tokens_to_receive,
        slots_unswept=message.slots_unswept,
        objects=message.objects,
        objects_held=message.objects_held,
        records_moved=message.records_moved,
        leases_moved=message.leases_moved,
        bytes_moved=message.bytes_moved,
        steering_ready=bits_of(message.steering_ready),
        waiting_for=message.waiting_for,
    )


def instance_report_to_proto(value: InstanceReport) -> instance_pb2.InstanceReport:
    return instance_pb2.InstanceReport(
        name=value.name,
        configured=value.configured,
        member=value.member,
        life=value.life,
        cluster=value.cluster,
        term=value.term,
        process=value.process,
        packets_attached=value.packets_attached,
        peers=sorted(value.peers),
        progress=progress_to_proto(value.progress) if value.progress else None,
        slab_directory=value.slab_directory,
        view=view_conversion.progress_to_proto(value.view) if value.view else None,
    )


def instance_report_from_proto(message: instance_pb2.InstanceReport) -> InstanceReport:
    return InstanceReport(
        name=message.name,
        configured=message.configured,
        member=message.member,
        life=message.life,
        cluster=message.cluster,
        term=message.term,
        process=message.process,
        packets_attached=message.packets_attached,
        peers=frozenset(message.peers),
        progress=progress_from_proto(message.progress) if message.HasField("progress") else None,
        slab_directory=message.slab_directory,
        view=view_conversion.progress_from_proto(message.view) if message.HasField("view") else None,
    )


def splitter_report_to_proto(value: SplitterReport) -> splitter_pb2.SplitterReport:
    return splitter_pb2.SplitterReport(
        configured=value.configured,
        cluster=value.cluster,
        term=value.term,
        process=value.process,
        ring_socket=value.ring_socket,
        table=value.table,
        members=sorted(value.members),
    )


def splitter_report_from_proto(message: splitter_pb2.SplitterReport) -> SplitterReport:
    return SplitterReport(
        configured=message.configured,
        cluster=message.cluster,
        term=message.term,
        process=message.process,
        ring_socket=message.ring_socket,
        table=message.table,
        members=frozenset(message.members),
    )


def redirect_to_proto(value: RedirectProgress) -> splitter_pb2.RedirectProgress:
    return splitter_pb2.RedirectProgress(
        pending=value.pending,
        done=value.done,
        parked=value.parked,
        parked_most=value.parked_most,
        pending_slots=to_bits(value.pending_slots),
    )


def redirect_from_proto(message: splitter_pb2.RedirectProgress) -> RedirectProgress:
    return RedirectProgress(
        message.pending, message.done, message.parked, message.parked_most, bits_of(message.pending_slots)
    )


def traffic_to_proto(value: TrafficReport) -> splitter_pb2.TrafficReport:
    return splitter_pb2.TrafficReport(
        running=value.running, name=value.name, document=value.document, faults=value.faults
    )


def traffic_from_proto(message: splitter_pb2.TrafficReport) -> TrafficReport:
    return TrafficReport(message.running, message.name, message.document, tuple(message.faults))


def class_to_proto(value: ClassInformation) -> common_pb2.StateClass:
    return common_pb2.StateClass(
        name=value.name,
        multi_writer=value.multi_writer,
        key_bytes=value.key_bytes,
        object_bytes=value.object_bytes,
        objects=value.objects,
        capacity=value.capacity,
    )


def class_from_proto(message: common_pb2.StateClass) -> ClassInformation:
    return ClassInformation(
        name=message.name,
        multi_writer=message.multi_writer,
        key_bytes=message.key_bytes,
        object_bytes=message.object_bytes,
        objects=message.objects,
        capacity=message.capacity,
    )


def state_row_to_proto(value: StateRow) -> instance_pb2.StateRow:
    return instance_pb2.StateRow(
        place=instance_pb2.StatePlace.ValueType(int(value.place)),
        holder=value.holder,
        incarnation=value.incarnation,
        lease=value.lease,
        idle_ms=value.idle_ms,
        key=value.key,
        object=value.object,
    )


def state_row_from_proto(message: instance_pb2.StateRow) -> StateRow:
    return StateRow(
        place=StatePlace(message.place),
        holder=message.holder,
        incarnation=message.incarnation,
        lease=message.lease,
        idle_ms=message.idle_ms,
        key=message.key,
        object=message.object,
    )
