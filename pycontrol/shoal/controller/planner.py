# SPDX-License-Identifier: BSD-3-Clause
"""Who gets which steering slots. Pure: from the present map and the next members to the next map.

Slot s of the key space goes with steering slot s / 64 (architecture.md), so one map of 256 entries says all. No more
slots move than balance needs: those of leavers, and what members have beyond their share."""

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shoal.errors import InvalidRequestError
from shoal_dataplane import MEMBER_NONE, MEMBERS_MAX, SLOTS_PER_STEERING, STEERING_SLOTS

NO_MAP = bytes([MEMBER_NONE]) * STEERING_SLOTS


@dataclass(frozen=True, slots=True)
class SteeringPlan:
    """A map and the one that follows it."""

    now: bytes
    following: bytes

    @property
    def moves(self) -> Mapping[int, tuple[int, int]]:
        """Steering slot → (old member, new member), those that change hands only."""
        pairs = zip(self.now, self.following, strict=True)
        return {slot: (old, new) for slot, (old, new) in enumerate(pairs) if old != new}

    @property
    def slots_moved(self) -> int:
        """Slots of the key space that change hands; 0 for a first map."""
        return SLOTS_PER_STEERING * sum(old != MEMBER_NONE for old, _ in self.moves.values())


def shares(now: bytes, members: Collection[int]) -> Mapping[int, int]:
    """How many steering slots each shall have: all the same, give or take one. Who has more keeps the odd one."""
    least, odd = divmod(STEERING_SLOTS, len(members))
    counts = {member: now.count(member) for member in members}
    favoured = sorted(members, key=lambda member: (-counts[member], member))[:odd]
    return {member: least + (member in favoured) for member in members}


def next_map(now: bytes, members: Collection[int]) -> SteeringPlan:
    """The next map for these members, from the present one (NO_MAP: there is none)."""
    if not members or len(set(members)) != len(members):
        raise InvalidRequestError("a map needs members, each once")
    if any(not 0 <= member < MEMBERS_MAX for member in members):
        raise InvalidRequestError(f"member numbers are below {MEMBERS_MAX}")
    wanted = shares(now, members)
    following = bytearray(now)
    kept = dict.fromkeys(members, 0)
    free: list[int] = []
    for slot, member in enumerate(now):
        if member in kept and kept[member] < wanted[member]:
            kept[member] += 1
        else:
            free.append(slot)
    # In turn, so that a joiner's slots come from all parts of the map.
    lacking = deque(sorted(member for member in members if kept[member] < wanted[member]))
    for slot in free:
        member = lacking.popleft()
        following[slot] = member
        kept[member] += 1
        if kept[member] < wanted[member]:
            lacking.append(member)
    return SteeringPlan(now, bytes(following))


def expected_objects(plan: SteeringPlan, objects: Mapping[int, Sequence[int]], member: int) -> tuple[int, ...]:
    """How many objects of each class the plan will bring to a member: of each old one its share, by steering slots,
    rounded up. `objects`: those of each class that each member holds now."""
    sources = Counter(old for old, new in plan.moves.values() if new == member and old in objects)
    brought: Counter[int] = Counter()
    for old, moved in sources.items():
        for index, count in enumerate(objects[old]):
            brought[index] += -(-count * moved // plan.now.count(old))
    return tuple(brought[index] for index in range(max(map(len, objects.values()), default=0)))


def free_numbers(taken: Collection[int], count: int) -> tuple[int, ...]:
    """The lowest member numbers that nobody has."""
    free = tuple(number for number in range(MEMBERS_MAX) if number not in taken)[:count]
    if len(free) < count:
        raise InvalidRequestError(f"at most {MEMBERS_MAX} members: {len(taken)} there, {count} more asked for")
    return free
