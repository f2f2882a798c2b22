# SPDX-License-Identifier: BSD-3-Clause
"""Reads the instructions of a field engine. Whether they fit together is the data plane's to judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from shoal.traffic.fields import Reader, StreamsError
from shoal_dataplane.stream import Instruction, InstructionKind, VariableOperation

U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFFFFFF
U64_MAX: Final = 0xFFFFFFFFFFFFFFFF
NAME_MAX: Final = 63
LIST_MAX: Final = 65535

OPERATIONS: Final[Mapping[str, VariableOperation]] = {
    "inc": VariableOperation.INCREMENT,
    "dec": VariableOperation.DECREMENT,
    "random": VariableOperation.RANDOM,
}


def _name(reader: Reader, key: str = "name", default: Any = None) -> str:
    name = reader.text(key) if default is None else reader.text(key, default)
    if len(name.encode()) > NAME_MAX:
        raise reader.fault(key, f"longer than {NAME_MAX} bytes")
    return name


def _values(reader: Reader) -> tuple[int, ...] | None:
    if "value_list" not in reader.values or reader.values["value_list"] is None:
        return None
    values = reader.values["value_list"]
    if not isinstance(values, list) or not 1 <= len(values) <= LIST_MAX:
        raise reader.fault("value_list", f"a list of 1 to {LIST_MAX} numbers is expected")
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= U64_MAX for each in values):
        raise reader.fault("value_list", "whole numbers of 0 or more are expected")
    return tuple(values)


def _signed(reader: Reader, key: str) -> int:
    """Any 64 bits, as the signed number that they mean."""
    value = reader.integer(key, least=-(1 << 63), most=U64_MAX)
    return value - (1 << 64) if value >= 1 << 63 else value


def _flow_var(reader: Reader) -> Instruction:
    values = _values(reader)
    made = Instruction(
        kind=InstructionKind.FLOW_VAR,
        name=_name(reader),
        next_name=_name(reader, "next_var", ""),
        operation=reader.choice("op", OPERATIONS),
        size=reader.integer("size", most=8),
        step=reader.integer("step", default=1),
        values=values or (),
    )
    if values is not None:
        return made
    return replace(
        made,
        init_value=reader.integer("init_value"),
        min_value=reader.integer("min_value"),
        max_value=reader.integer("max_value"),
    )


def _flow_var_rand_limit(reader: Reader) -> Instruction:
    size = reader.integer("size", most=8)
    return Instruction(
        kind=InstructionKind.FLOW_VAR_RAND_LIMIT,
        name=_name(reader),
        next_name=_name(reader, "next_var", ""),
        size=size,
        limit=reader.integer("limit"),
        seed=reader.integer("seed", most=U32_MAX),
        min_value=reader.integer("min_value", default=0),
        max_value=reader.integer("max_value", default=(1 << 8 * size) - 1),
    )


def _tuple_flow_var(reader: Reader) -> Instruction:
    return Instruction(
        kind=InstructionKind.TUPLE_FLOW_VAR,
        name=_name(reader),
        ip_min=reader.integer("ip_min", most=U32_MAX),
        ip_max=reader.integer("ip_max", most=U32_MAX),
        port_min=reader.integer("port_min", most=U16_MAX),
        port_max=reader.integer("port_max", most=U16_MAX),
        limit=reader.integer("limit_flows"),
        tuple_flags=reader.integer("flags", most=U32_MAX),
    )


def _write_flow_var(reader: Reader) -> Instruction:
    return Instruction(
        kind=InstructionKind.WRITE_FLOW_VAR,
        name=_name(reader),
        packet_offset=reader.integer("pkt_offset", most=U16_MAX),
        add_value=_signed(reader, "add_value"),
        big_endian=reader.boolean("is_big_endian"),
    )


def _write_mask_flow_var(reader: Reader) -> Instruction:
    return Instruction(
        kind=InstructionKind.WRITE_MASK_FLOW_VAR,
        name=_name(reader),
        packet_offset=reader.integer("pkt_offset", most=U16_MAX),
        cast_size=reader.integer("pkt_cast_size", most=8),
        mask=reader.integer("mask", most=U32_MAX),
        shift=reader.integer("shift", least=-128, most=127),
        add_value=_signed(reader, "add_value"),
        big_endian=reader.boolean("is_big_endian"),
    )


def _trim_pkt_size(reader: Reader) -> Instruction:
    return Instruction(kind=InstructionKind.TRIM_PKT_SIZE, name=_name(reader))


def _fix_checksum_ipv4(reader: Reader) -> Instruction:
    offset = reader.integer("pkt_offset", most=U16_MAX)
    return Instruction(kind=InstructionKind.FIX_CHECKSUM_IPV4, packet_offset=offset)


def _fix_checksum_hw(reader: Reader) -> Instruction:
    return replace(
        _fix_checksum_icmpv6(reader),
        kind=InstructionKind.FIX_CHECKSUM_HW,
        l4_type=reader.integer("l4_type", most=U16_MAX),
    )


def _fix_checksum_icmpv6(reader: Reader) -> Instruction:
    return Instruction(
        kind=InstructionKind.FIX_CHECKSUM_ICMPV6,
        l2_bytes=reader.integer("l2_len", most=U16_MAX),
        l3_bytes=reader.integer("l3_len", most=U16_MAX),
    )


KINDS: Final[Mapping[str, Callable[[Reader], Instruction]]] = {
    "flow_var": _flow_var,
    "flow_var_rand_limit": _flow_var_rand_limit,
    "tuple_flow_var": _tuple_flow_var,
    "write_flow_var": _write_flow_var,
    "write_mask_flow_var": _write_mask_flow_var,
    "trim_pkt_size": _trim_pkt_size,
    "fix_checksum_ipv4": _fix_checksum_ipv4,
    "fix_checksum_hw": _fix_checksum_hw,
    "fix_checksum_icmpv6": _fix_checksum_icmpv6,
}


def read_instruction(reader: Reader) -> Instruction:
    return reader.choice("type", KINDS)(reader)


__all__ = ["StreamsError", "read_instruction"]
