# SPDX-License-Identifier: BSD-3-Clause
"""Bytes of keys and objects as named fields, and keys from what an operator writes.

By convention of the NF interface, fields whose names end in "address" (4 or 16 bytes) and "port" (2 bytes) are in
network byte order; "protocol" is IP's; "zero" is padding and not shown."""

import ipaddress
import math
import struct
from collections.abc import Mapping
from typing import Final

from shoal.errors import InvalidRequestError
from shoal.model import Field, FieldValue
from shoal.network_function.layout import Array, Characters, Enumeration, Layout, Member, Number, Structure

PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}
_PROTOCOL_NUMBERS: Final = {name: number for number, name in PROTOCOLS.items()}
PADDING: Final = "zero"


def decode(layout: Structure, data: bytes) -> tuple[Field, ...]:
    """The fields of a structure; `data` is as long as the structure."""
    if len(data) != layout.size:
        raise InvalidRequestError(f"struct {layout.name} has {layout.size} bytes, not {len(data)}")
    return tuple(
        Field(member.name, _member_value(member, data), isinstance(member.layout, Array))
        for member in layout.members
        if member.name != PADDING
    )


def _member_value(member: Member, data: bytes) -> FieldValue:
    if member.bits is not None:
        offset, width = member.bits
        return int.from_bytes(data, "little") >> offset & ((1 << width) - 1)
    own = data[member.offset : member.offset + member.layout.size]
    return _special(member.name, member.layout, own) or _value(member.layout, own)


def _special(name: str, layout: Layout, data: bytes) -> str | int | None:
    """Fields in network byte order, by their names."""
    if name.endswith("address") and _is_address(layout):
        return str(ipaddress.ip_address(data))
    if isinstance(layout, Number) and name.endswith("port") and layout.size == 2:
        return int.from_bytes(data, "big")
    if isinstance(layout, Number) and name == "protocol" and layout.size == 1:
        return PROTOCOLS.get(data[0])
    return None


def _is_address(layout: Layout) -> bool:
    if isinstance(layout, Array):
        return layout.size == 16 and layout.element == Number(1)
    return layout == Number(4)


def _value(layout: Layout, data: bytes) -> FieldValue:
    match layout:
        case Number(size=size, real=True):
            value = float(struct.unpack("<f" if size == 4 else "<d", data)[0])
            return value if math.isfinite(value) else str(value)
        case Number(truth=True):
            return data != bytes(len(data))
        case Number(signed=signed):
            return int.from_bytes(data, "little", signed=signed)
        case Enumeration(names=names):
            number = int.from_bytes(data, "little")
            return dict(names).get(number, number)
        case Characters():
            return data.split(b"\0")[0].decode("utf-8", "replace")
        case Array(element=element, count=count):
            pieces = (data[index * element.size : (index + 1) * element.size] for index in range(count))
            return tuple(
                Field(str(index), _value(element, piece), isinstance(element, Array))
                for index, piece in enumerate(pieces)
            )
        case Structure():
            return decode(layout, data)
    return data


def encode_key(layout: Structure, values: Mapping[str, str]) -> bytes:
    """A key from its fields as text; every field must be given. The name "" stands for all in order, as in
    "10.0.0.1:1234/udp"."""
    members = [member for member in layout.members if member.name != PADDING]
    if set(values) == {""}:
        parts = _parts(values[""])
        if len(parts) != len(members):
            form = "/".join(member.name for member in members)
            raise InvalidRequestError(
                f"{values['']!r} has {len(parts)} part{'' if len(parts) == 1 else 's'}; a key is {form}"
            )
        values = {member.name: part for member, part in zip(members, parts, strict=True)}
    names = {member.name for member in members}
    for given in (*sorted(set(values) - names), *sorted(names - set(values))):
        fault = "is missing in the key" if given in names else "is no field of the key"
        raise InvalidRequestError(f"{given!r} {fault}: {', '.join(member.name for member in members)}")
    data = bytearray(layout.size)
    for member in members:
        data[member.offset : member.offset + member.layout.size] = _encode(member, values[member.name])
    return bytes(data)


def _parts(text: str) -> list[str]:
    """ "10.0.0.1:1234/udp" → address, port, protocol."""
    parts = []
    for piece in text.split("/"):
        host, colon, port = piece.rpartition(":")
        if colon and not _is_ip(piece):
            parts += [host.strip("[]"), port]
        else:
            parts.append(piece)
    return parts


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _encode(member: Member, text: str) -> bytes:
    layout, size = member.layout, member.layout.size
    try:
        if member.name.endswith("address") and _is_address(layout):
            packed = ipaddress.ip_address(text).packed
            if len(packed) == size:
                return packed
        elif isinstance(layout, Number):
            if member.name == "protocol" and text.lower() in _PROTOCOL_NUMBERS:
                text = str(_PROTOCOL_NUMBERS[text.lower()])
            big = member.name.endswith("port") and size == 2
            return int(text, 0).to_bytes(size, "big" if big else "little", signed=layout.signed)
        elif isinstance(layout, Enumeration):
            numbers = {name: number for number, name in layout.names}
            return (numbers[text] if text in numbers else int(text, 0)).to_bytes(size, "little")
        elif isinstance(layout, Characters) and len(text.encode()) <= size:
            return text.encode().ljust(size, b"\0")
    except (ValueError, OverflowError):
        pass
    raise InvalidRequestError(f"{member.name}: {text!r} is not {_asked(member)}")


def _asked(member: Member) -> str:
    """What a field of a key takes, for a person."""
    layout, size = member.layout, member.layout.size
    if member.name.endswith("address") and _is_address(layout):
        return "an IPv4 address" if size == 4 else "an IPv6 address"
    if isinstance(layout, Enumeration):
        return f"one of {', '.join(name for _, name in layout.names)}"
    if isinstance(layout, Number) and not layout.real:
        low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if layout.signed else (0, (1 << 8 * size) - 1)
        names = f", or {', '.join(_PROTOCOL_NUMBERS)}" if member.name == "protocol" else ""
        return f"a whole number from {low} to {high}{names}"
    if isinstance(layout, Characters):
        return f"a text of at most {size} bytes"
    return "what can be written into that field"
