# SPDX-License-Identifier: BSD-3-Clause
"""Objects and key records of a worker, copied out for an operator."""

import enum
from dataclasses import dataclass
from typing import Any

from shoal_dataplane.door import ffi, lib, text


class StatePlace(enum.IntEnum):
    """Where the object of a row is, as this worker knows."""

    HELD = lib.SHOAL_STATE_HELD
    FREE = lib.SHOAL_STATE_FREE
    MULTI_WRITER = lib.SHOAL_STATE_MULTI_WRITER
    RECORD_ONLY = lib.SHOAL_STATE_RECORD_ONLY
    STORE = lib.SHOAL_STATE_STORE


@dataclass(frozen=True, slots=True)
class StateRow:
    place: StatePlace
    holder: int  # member, as far as this worker knows
    incarnation: int
    lease: int
    idle_ms: int
    key: bytes
    object: bytes  # empty for RECORD_ONLY

    @classmethod
    def from_native(cls, row: Any) -> "StateRow":
        return cls(
            place=StatePlace(row.place),
            holder=row.holder,
            incarnation=row.incarnation,
            lease=row.lease,
            idle_ms=row.idle_ms,
            key=bytes(ffi.buffer(row.key, row.key_bytes)),
            object=bytes(ffi.buffer(row.object, row.object_bytes)),
        )


@dataclass(frozen=True, slots=True)
class ClassInformation:
    name: str
    multi_writer: bool
    key_bytes: int
    object_bytes: int
    objects: int
    capacity: int

    @classmethod
    def from_native(cls, information: Any) -> "ClassInformation":
        return cls(
            name=text(information.name),
            multi_writer=bool(information.multi_writer),
            key_bytes=information.key_bytes,
            object_bytes=information.object_bytes,
            objects=information.objects,
            capacity=information.capacity,
        )
