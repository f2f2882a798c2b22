# SPDX-License-Identifier: BSD-3-Clause
"""The fence of a worker, where members are on several hosts (worker/fence.h)."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal_dataplane.constants import MEMBERS_MAX
from shoal_dataplane.door import lib


class FenceState(enum.IntEnum):
    OPEN = lib.SHOAL_FENCE_OPEN  # works
    HOLDING = lib.SHOAL_FENCE_HOLDING  # not heard by a majority: touches no packet until it is
    FENCED = lib.SHOAL_FENCE_FENCED  # was declared dead: never touches a packet again


@dataclass(frozen=True, slots=True)
class FenceProgress:
    state: FenceState
    clock_ns: int  # the worker's time, for the next keep_alive
    holds: int  # times that it had to hold
    held_ms: int
    silent_ms: Mapping[int, int]  # of each member on another host: since when it has not answered

    @classmethod
    def from_native(cls, structure: Any) -> "FenceProgress":
        silent = {member: structure.silent_ms[member] for member in range(MEMBERS_MAX) if structure.remote[member]}
        return cls(FenceState(structure.state), structure.clock_ns, structure.holds, structure.held_ms, silent)
