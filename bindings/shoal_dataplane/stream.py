# SPDX-License-Identifier: BSD-3-Clause
"""Compiled streams of a TRex profile, as the generator takes them."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from shoal_dataplane.door import ffi, lib, put_text


class InstructionKind(enum.IntEnum):
    FLOW_VAR = lib.SHOAL_INSTRUCTION_FLOW_VAR
    FLOW_VAR_RAND_LIMIT = lib.SHOAL_INSTRUCTION_FLOW_VAR_RAND_LIMIT
    TUPLE_FLOW_VAR = lib.SHOAL_INSTRUCTION_TUPLE_FLOW_VAR
    WRITE_FLOW_VAR = lib.SHOAL_INSTRUCTION_WRITE_FLOW_VAR
    WRITE_MASK_FLOW_VAR = lib.SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR
    TRIM_PKT_SIZE = lib.SHOAL_INSTRUCTION_TRIM_PKT_SIZE
    FIX_CHECKSUM_IPV4 = lib.SHOAL_INSTRUCTION_FIX_CHECKSUM_IPV4
    FIX_CHECKSUM_HW = lib.SHOAL_INSTRUCTION_FIX_CHECKSUM_HW
    FIX_CHECKSUM_ICMPV6 = lib.SHOAL_INSTRUCTION_FIX_CHECKSUM_ICMPV6


class VariableOperation(enum.IntEnum):
    INCREMENT = lib.SHOAL_VARIABLE_INCREMENT
    DECREMENT = lib.SHOAL_VARIABLE_DECREMENT
    RANDOM = lib.SHOAL_VARIABLE_RANDOM


class RateKind(enum.IntEnum):
    PPS = lib.SHOAL_RATE_PPS
    BPS_L1 = lib.SHOAL_RATE_BPS_L1
    BPS_L2 = lib.SHOAL_RATE_BPS_L2
    PERCENTAGE = lib.SHOAL_RATE_PERCENTAGE


class StreamMode(enum.IntEnum):
    CONTINUOUS = lib.SHOAL_STREAM_CONTINUOUS
    SINGLE_BURST = lib.SHOAL_STREAM_SINGLE_BURST
    MULTI_BURST = lib.SHOAL_STREAM_MULTI_BURST


class GroupKind(enum.IntEnum):
    NONE = lib.SHOAL_GROUP_NONE
    STATISTICS = lib.SHOAL_GROUP_STATISTICS
    LATENCY = lib.SHOAL_GROUP_LATENCY


FRAME_BYTES_MIN: Final[int] = lib.SHOAL_FRAME_BYTES_MIN
FRAME_BYTES_MAX: Final[int] = lib.SHOAL_FRAME_BYTES_MAX
STREAM_DUMMY: Final[int] = lib.SHOAL_STREAM_DUMMY


@dataclass(frozen=True, slots=True)
class Instruction:
    """As struct shoal_instruction: each kind reads its own members only."""

    kind: InstructionKind
    name: str = ""
    next_name: str = ""
    operation: VariableOperation = VariableOperation.INCREMENT
    size: int = 0
    init_value: int = 0
    min_value: int = 0
    max_value: int = 0
    step: int = 0
    values: Sequence[int] = ()
    limit: int = 0
    seed: int = 0
    ip_min: int = 0
    ip_max: int = 0
    port_min: int = 0
    port_max: int = 0
    tuple_flags: int = 0
    packet_offset: int = 0
    add_value: int = 0
    cast_size: int = 0
    mask: int = 0
    shift: int = 0
    big_endian: bool = True
    l2_bytes: int = 0
    l3_bytes: int = 0
    l4_type: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """As struct shoal_stream_config."""

    name: str
    packet: bytes  # frame without FCS
    rate: float
    rate_kind: RateKind = RateKind.PPS
    flags: int = 0
    enabled: bool = True
    self_start: bool = True
    start_paused: bool = False
    start_gap_us: float = 0.0
    action_count: int = 0
    next: int = -1
    mode: StreamMode = StreamMode.CONTINUOUS
    burst_packets: int = 0
    bursts: int = 0
    burst_gap_us: float = 0.0
    random_seed: int = 0
    instructions: Sequence[Instruction] = ()
    cache: int = 0
    group_kind: GroupKind = GroupKind.NONE
    group: int = 0


class NativeStream:
    """A stream in C's memory, with all that its pointers lead to. Hold on to it while C reads the structure."""

    def __init__(self, stream: Stream) -> None:
        self._kept: list[Any] = []
        self.structure = ffi.new("struct shoal_stream_config *")
        _copy(self.structure, stream, {"packet", "instructions"})
        packet = self._keep(ffi.new("uint8_t[]", stream.packet))
        self.structure.packet, self.structure.packet_bytes = packet, len(stream.packet)
        instructions = self._keep(ffi.new("struct shoal_instruction[]", max(1, len(stream.instructions))))
        for native, instruction in zip(instructions, stream.instructions, strict=False):
            _copy(native, instruction, {"values"})
            if instruction.values:
                native.values = self._keep(ffi.new("uint64_t[]", list(instruction.values)))
                native.values_count = len(instruction.values)
        self.structure.instructions = instructions
        self.structure.instructions_count = len(stream.instructions)

    def _keep(self, memory: Any) -> Any:
        self._kept.append(memory)
        return memory


def _copy(structure: Any, value: Instruction | Stream, without: set[str]) -> None:
    for field in fields(value):
        if field.name in without:
            continue
        content = getattr(value, field.name)
        if isinstance(content, str):
            put_text(structure, field.name, content)
        else:
            setattr(structure, field.name, content)
