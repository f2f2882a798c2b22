# SPDX-License-Identifier: BSD-3-Clause
"""Requests that nobody sane would make: of every field of a message, at any depth, values that it may not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_TEXTS: Final = (
    "",
    " ",
    "\0",
    "nat-1\n",
    "a\0b",
    "../../../../etc/passwd",
    "/",
    "/proc/self/mem",
    "%s%n%s%n",
    "--help",
    "-1",
    "99999999999999999999999999",
    "\U0010ffff\u202e",
    "[" * 5000,
    "a" * 70_000,
    "é" * 70_000,
    "x" * (2 << 20),
)
_BYTES: Final = (b"", b"\0", b"\xff" * 31, b"\xff" * 32, b"\xff" * 256, b"\x40" * 256, b"\xff" * 16384, bytes(2 << 20))
_NUMBERS: Final[dict[int, tuple[int, ...]]] = {
    FieldDescriptor.TYPE_UINT32: (0, 1, 63, 64, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1),
    FieldDescriptor.TYPE_UINT64: (0, 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1),
    FieldDescriptor.TYPE_INT32: (-(1 << 31), -2, -1, 0, 4096, (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: (-(1 << 63), -1, 0, (1 << 63) - 1),
    FieldDescriptor.TYPE_ENUM: (-1, 0, 99, (1 << 31) - 1),
    FieldDescriptor.TYPE_BOOL: (0, 1),
}
MANY: Final = 20_000


def _values(field: Any) -> tuple[Any, ...]:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _TEXTS
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _BYTES
    return _NUMBERS[int(field.type)]


def _is_map(field: Any) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _copy(message: Message) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def _in_map(message: Message, field: Any) -> Iterator[Message]:
    for text in _TEXTS:
        for key, value in ((text, "1"), ("duration", text)):
            made = _copy(message)
            getattr(made, field.name)[key] = value
            yield made
    made = _copy(message)
    for number in range(MANY):
        getattr(made, field.name)[str(number)] = "1"
    yield made


def _in_list(message: Message, field: Any) -> Iterator[Message]:
    if field.message_type is None:
        for value in _values(field):
            made = _copy(message)
            getattr(made, field.name).append(value)
            yield made
        pattern = getattr(message, field.name)[:1] or [_values(field)[1]]
        made = _copy(message)
        getattr(made, field.name).extend(list(pattern) * MANY)
        yield made
        return
    items = getattr(message, field.name)
    item = items[0] if items else GetMessageClass(field.message_type)()
    for changed in hostile(_copy(item)):
        made = _copy(message)
        inside = getattr(made, field.name)
        del inside[:]
        inside.add().CopyFrom(changed)
        yield made
    made = _copy(message)
    for _ in range(MANY):
        getattr(made, field.name).add().CopyFrom(item)
    yield made


def hostile(message: Message) -> Iterator[Message]:
    """The message with one field changed, for every field and value; and without that field."""
    field: Any
    for field in message.DESCRIPTOR.fields:
        if _is_map(field):
            yield from _in_map(message, field)
        elif field.is_repeated:
            yield from _in_list(message, field)
        elif field.message_type is not None:
            for changed in hostile(_copy(getattr(message, field.name))):
                made = _copy(message)
                getattr(made, field.name).CopyFrom(changed)
                yield made
        else:
            for value in _values(field):
                made = _copy(message)
                setattr(made, field.name, value)
                yield made
        made = _copy(message)
        made.ClearField(field.name)
        yield made


def junk(message: Message) -> Iterator[bytes]:
    """Bytes that are no such message: cut, and with text that is none."""
    data = message.SerializeToString()
    yield b"\xff" * 64
    yield b"\x0a\xff\xff\xff\xff\x0f"
    yield from (data[:length] for length in range(max(0, len(data) - 40), len(data)))
    field: Any
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield bytes([field.number << 3 | 2, 2, 0xC3, 0x28])


def told(message: Message) -> str:
    """A message in short, for whoever reads that it was answered badly."""
    text = " ".join(str(message).split())
    return f"{type(message).__name__}({text if len(text) < 200 else f'{text[:100]} … {text[-80:]}'})"
