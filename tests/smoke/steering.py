# SPDX-License-Identifier: BSD-3-Clause
"""Which clients' steering slots move when the deployment is scaled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shoal.controller.planner import NO_MAP, next_map


def slot_of(public: str) -> int:
    """The steering slot that a public endpoint, "address:port", bears in its port (docs/architecture.md)."""
    return int(public.rpartition(":")[2]) % 256


def moved_at_every_event(steps: Sequence[int]) -> frozenset[int]:
    """Steering slots that change their member at each step from the first number of instances on."""
    table = next_map(NO_MAP, range(steps[0])).following
    moving = set(range(len(table)))
    for count in steps[1:]:
        plan = next_map(table, range(count))
        moving &= set(plan.moves)
        table = plan.following
    return frozenset(moving)


def source_that_moves(publics: Iterable[tuple[str, str]], steps: Sequence[int]) -> str:
    """Of (source, public endpoint) pairs, a source whose steering slot moves at every event."""
    moving = moved_at_every_event(steps)
    for source, public in publics:
        if slot_of(public) in moving:
            return source
    raise LookupError(f"of these clients none has a steering slot that moves at every one of {steps}")
