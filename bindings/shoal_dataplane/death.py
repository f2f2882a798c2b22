# SPDX-License-Identifier: BSD-3-Clause
"""A view change as one survivor is told of it, and how far it has come there (dso.md, "A worker dies")."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal_dataplane.constants import CLASSES_MAX, MEMBER_NONE, SLOTS
from shoal_dataplane.door import ffi, lib, text


class ViewStage(enum.IntEnum):
    QUIET = lib.SHOAL_VIEW_QUIET  # the last view is complete here
    FLUSHING = lib.SHOAL_VIEW_FLUSHING
    COUNTING = lib.SHOAL_VIEW_COUNTING
    READYING = lib.SHOAL_VIEW_READYING
    REPORTING = lib.SHOAL_VIEW_REPORTING
    SETTLING = lib.SHOAL_VIEW_SETTLING
    ENTERING = lib.SHOAL_VIEW_ENTERING
    FINISHING = lib.SHOAL_VIEW_FINISHING
    CHECKING = lib.SHOAL_VIEW_CHECKING  # complete, but what a loss has left is still being looked at


@dataclass(frozen=True, slots=True)
class Death:
    """`dead`: life of each member that died since the last completed view; `adopters`: who takes over the objects of a
    dead one, those without a usable slab left out; `mint`: by slot, who gets the token if nobody reports it."""

    term: int
    view: int
    epoch: int  # of the map that results
    dead: Mapping[int, int]
    survivors: frozenset[int]
    adopters: Mapping[int, int]
    mint: bytes

    def to_native(self) -> Any:
        if len(self.mint) != SLOTS:
            raise ValueError(f"a slot map has {SLOTS} entries, not {len(self.mint)}")
        structure = ffi.new("struct shoal_death *")
        structure.term = self.term
        structure.view = self.view
        structure.epoch = self.epoch
        for member in range(len(structure.adopter)):
            structure.adopter[member] = self.adopters.get(member, MEMBER_NONE)
        for member, life in self.dead.items():
            structure.dead[member] = 1
            structure.life[member] = life
        for member in self.survivors:
            structure.survivor[member] = 1
        ffi.memmove(structure.mint, self.mint, SLOTS)
        return structure


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """What became of the objects of one class, of all views since start."""

    adopted: int = 0
    checked: int = 0  # were being written: their class's check has passed or rejected them
    rejected: int = 0
    lost: int = 0
    rolled_back: int = 0


class Fate(enum.IntEnum):
    """What became of an object of a dead member."""

    ADOPTED = lib.SHOAL_FATE_ADOPTED
    REJECTED = lib.SHOAL_FATE_REJECTED
    LOST = lib.SHOAL_FATE_LOST


@dataclass(frozen=True, slots=True)
class FateRow:
    """One object that had a fate."""

    view: int
    class_index: int
    key: bytes

    @classmethod
    def from_native(cls, row: Any) -> "FateRow":
        return cls(row.view, row.class_index, bytes(ffi.buffer(row.key))[: row.key_bytes])


@dataclass(frozen=True, slots=True)
class ViewProgress:
    stage: ViewStage
    view: int  # last begun
    resumed: int  # last completed
    epoch: int
    tokens: bytes  # bit s: the token of slot s is here; valid when QUIET
    counts: tuple[ObjectCounts, ...]  # by class, all that there may be
    waiting_for: str

    @classmethod
    def from_native(cls, structure: Any) -> "ViewProgress":
        return cls(
            stage=ViewStage(structure.stage),
            view=structure.view,
            resumed=structure.resumed,
            epoch=structure.epoch,
            tokens=bytes(ffi.buffer(structure.tokens)),
            counts=tuple(
                ObjectCounts(
                    structure.adopted[index],
                    structure.checked[index],
                    structure.rejected[index],
                    structure.lost[index],
                    structure.rolled_back[index],
                )
                for index in range(CLASSES_MAX)
            ),
            waiting_for=text(structure.waiting_for),
        )
