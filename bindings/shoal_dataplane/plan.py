# SPDX-License-Identifier: BSD-3-Clause
"""A reorganisation as one member is told of it, and how far it has come there."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shoal_dataplane.constants import MEMBER_NONE, SLOTS, STEERING_SLOTS
from shoal_dataplane.door import ffi, lib, text


class Stage(enum.IntEnum):
    ALONE = lib.SHOAL_STAGE_ALONE
    NORMAL = lib.SHOAL_STAGE_NORMAL
    LEARNT = lib.SHOAL_STAGE_LEARNT
    HANDING_OVER = lib.SHOAL_STAGE_HANDING_OVER
    DONE = lib.SHOAL_STAGE_DONE
    LEFT = lib.SHOAL_STAGE_LEFT


@dataclass(frozen=True, slots=True)
class Plan:
    """owner_*: member of each slot (SLOTS bytes); members_*: life of each member's worker, by member number;
    expected_objects: of each class, how many the next map will bring here."""

    term: int
    epoch_now: int  # 0: there is no map yet, owner_now is ignored
    epoch_next: int
    owner_now: bytes
    owner_next: bytes
    members_now: Mapping[int, int]
    members_next: Mapping[int, int]
    expected_objects: Sequence[int] = ()

    def to_native(self) -> Any:
        for owner in (self.owner_now, self.owner_next):
            if len(owner) != SLOTS:
                raise ValueError(f"a slot map has {SLOTS} entries, not {len(owner)}")
        structure = ffi.new("struct shoal_plan *")
        structure.term = self.term
        structure.epoch_now = self.epoch_now
        structure.epoch_next = self.epoch_next
        ffi.memmove(structure.owner_now, self.owner_now, SLOTS)
        ffi.memmove(structure.owner_next, self.owner_next, SLOTS)
        for members, flags in ((self.members_now, structure.in_now), (self.members_next, structure.in_next)):
            for member, life in members.items():
                flags[member] = 1
                structure.life[member] = life
        for index, count in enumerate(self.expected_objects):
            structure.expected_objects[index] = count
        return structure


def no_owner() -> bytes:
    """The map before the first plan."""
    return bytes([MEMBER_NONE]) * SLOTS


@dataclass(frozen=True, slots=True)
class Progress:
    stage: Stage
    term: int
    epoch: int
    tokens: int
    tokens_to_send: int
    tokens_to_receive: int
    slots_unswept: int
    objects: int  # entries of all tables: objects here, and records of those elsewhere
    objects_held: int  # of them: single-writer objects whose lease is here
    records_moved: int
    leases_moved: int
    bytes_moved: int
    steering_ready: frozenset[int]  # steering slots all of whose tokens are here
    waiting_for: str

    @classmethod
    def from_native(cls, structure: Any) -> "Progress":
        return cls(
            stage=Stage(structure.stage),
            term=structure.term,
            epoch=structure.epoch,
            tokens=structure.tokens,
            tokens_to_send=structure.tokens_to_send,
            tokens_to_receive=structure.tokens_to_receive,
            slots_unswept=structure.slots_unswept,
            objects=structure.objects,
            objects_held=structure.objects_held,
            records_moved=structure.records_moved,
            leases_moved=structure.leases_moved,
            bytes_moved=structure.bytes_moved,
            steering_ready=bits_of(bytes(ffi.buffer(structure.steering_ready))),
            waiting_for=text(structure.waiting_for),
        )


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """What a worker has in hand that is to end."""

    draining: bool
    empty: bool  # draining, and nothing is left of what follows
    packets: int
    microthreads: int
    requests: int  # to others, that they have not answered
    channel_bytes: int  # for others, that their channels have not taken

    @classmethod
    def from_native(cls, structure: Any) -> "DrainProgress":
        return cls(
            draining=bool(structure.draining),
            empty=bool(structure.empty),
            packets=structure.packets,
            microthreads=structure.microthreads,
            requests=structure.requests,
            channel_bytes=structure.channel_bytes,
        )


def bits_of(data: bytes) -> frozenset[int]:
    """The numbers of the bits that are set; bit s is bit s % 8 of byte s / 8."""
    return frozenset(8 * index + bit for index, byte in enumerate(data) for bit in range(8) if byte >> bit & 1)


def to_bits(numbers: frozenset[int]) -> bytes:
    """The steering slots as a set of bits."""
    data = bytearray(STEERING_SLOTS // 8)
    for number in numbers:
        data[number // 8] |= 1 << number % 8
    return bytes(data)
