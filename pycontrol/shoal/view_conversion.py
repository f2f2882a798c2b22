# SPDX-License-Identifier: BSD-3-Clause
"""Between protobuf types and our values, for view changes and the deaths that they follow."""

from collections.abc import Iterable

from shoal.errors import InvalidRequestError
from shoal.model import ClassLosses, DeadInstance, Deaths, FateRow, ObjectCounts, ViewProgress
from shoal.proto import controller_pb2, instance_pb2
from shoal_dataplane import Death, Fate, ViewStage


def death_to_proto(value: Death) -> instance_pb2.DeathRequest:
    return instance_pb2.DeathRequest(
        term=value.term,
        view=value.view,
        epoch=value.epoch,
        dead=[
            instance_pb2.DeadMember(member=member, life=life, adopter=value.adopters.get(member))
            for member, life in sorted(value.dead.items())
        ],
        survivors=sorted(value.survivors),
        mint=value.mint,
    )


def death_from_proto(message: instance_pb2.DeathRequest) -> Death:
    dead = {each.member: each.life for each in message.dead}
    if len(dead) != len(message.dead):
        raise InvalidRequestError("a member is named dead twice")
    return Death(
        term=message.term,
        view=message.view,
        epoch=message.epoch,
        dead=dead,
        survivors=frozenset(message.survivors),
        adopters={each.member: each.adopter for each in message.dead if each.HasField("adopter")},
        mint=message.mint,
    )


def progress_to_proto(value: ViewProgress) -> instance_pb2.ViewProgress:
    return instance_pb2.ViewProgress(
        stage=instance_pb2.ViewStage.ValueType(int(value.stage)),
        view=value.view,
        resumed=value.resumed,
        epoch=value.epoch,
        tokens=value.tokens,
        counts=[
            instance_pb2.ObjectCounts(
                adopted=each.adopted,
                checked=each.checked,
                rejected=each.rejected,
                lost=each.lost,
                rolled_back=each.rolled_back,
            )
            for each in value.counts
        ],
        waiting_for=value.waiting_for,
    )


def progress_from_proto(message: instance_pb2.ViewProgress) -> ViewProgress:
    return ViewProgress(
        stage=ViewStage(message.stage),
        view=message.view,
        resumed=message.resumed,
        epoch=message.epoch,
        tokens=message.tokens,
        counts=tuple(
            ObjectCounts(each.adopted, each.checked, each.rejected, each.lost, each.rolled_back)
            for each in message.counts
        ),
        waiting_for=message.waiting_for,
    )


def deaths_to_proto(value: Deaths) -> controller_pb2.Deaths:
    return controller_pb2.Deaths(
        view=value.view,
        time_ns=value.time_ns,
        duration_ms=value.duration_ms,
        instances=[
            controller_pb2.DeadInstance(
                name=each.name,
                member=each.member,
                life=each.life,
                reason=each.reason,
                adopter=each.adopter,
                refusal=each.refusal,
            )
            for each in value.instances
        ],
        classes=[
            controller_pb2.ClassLosses(
                class_name=each.class_name,
                adopted=each.adopted,
                checked=each.checked,
                rejected=each.rejected,
                lost=each.lost,
                rolled_back=each.rolled_back,
                at_least=each.at_least,
                last_heard=each.last_heard,
            )
            for each in value.classes
        ],
    )


def deaths_from_proto(message: controller_pb2.Deaths) -> Deaths:
    return Deaths(
        view=message.view,
        time_ns=message.time_ns,
        duration_ms=message.duration_ms,
        instances=tuple(
            DeadInstance(each.name, each.member, each.life, each.reason, each.adopter, each.refusal)
            for each in message.instances
        ),
        classes=tuple(
            ClassLosses(
                each.class_name,
                each.adopted,
                each.checked,
                each.rejected,
                each.lost,
                each.rolled_back,
                each.at_least,
                each.last_heard,
            )
            for each in message.classes
        ),
    )


def list_to_proto(values: Iterable[Deaths]) -> controller_pb2.ListDeathsReply:
    return controller_pb2.ListDeathsReply(deaths=[deaths_to_proto(value) for value in values])


def list_from_proto(message: controller_pb2.ListDeathsReply) -> tuple[Deaths, ...]:
    return tuple(deaths_from_proto(each) for each in message.deaths)


def fate_from_proto(value: int) -> Fate:
    """InvalidRequestError: there is no such fate."""
    try:
        return Fate(value)
    except ValueError:
        raise InvalidRequestError(f"there is no fate {value}") from None


def fate_row_to_proto(value: FateRow) -> instance_pb2.FateRow:
    return instance_pb2.FateRow(view=value.view, class_name=value.class_name, key=value.key)


def fate_row_from_proto(message: instance_pb2.FateRow) -> FateRow:
    return FateRow(message.view, message.class_name, message.key)
