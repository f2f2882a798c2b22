# SPDX-License-Identifier: BSD-3-Clause
"""Between protobuf types and our values, for the fences between hosts."""

from shoal.model import FenceProgress, FenceState
from shoal.proto import instance_pb2


def progress_to_proto(value: FenceProgress) -> instance_pb2.FenceProgress:
    return instance_pb2.FenceProgress(
        state=instance_pb2.FenceState.ValueType(int(value.state)),
        clock_ns=value.clock_ns,
        holds=value.holds,
        held_ms=value.held_ms,
        silent=[
            instance_pb2.Silence(member=member, milliseconds=milliseconds)
            for member, milliseconds in sorted(value.silent_ms.items())
        ],
    )


def progress_from_proto(message: instance_pb2.FenceProgress) -> FenceProgress:
    return FenceProgress(
        state=FenceState(message.state),
        clock_ns=message.clock_ns,
        holds=message.holds,
        held_ms=message.held_ms,
        silent_ms={each.member: each.milliseconds for each in message.silent},
    )
