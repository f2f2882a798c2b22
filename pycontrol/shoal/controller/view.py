# SPDX-License-Identifier: BSD-3-Clause
"""Plans of view changes (dso.md, "A worker dies"). Pure: from who died and who lives to who adopts, who mints which
tokens and where packets go; and from the tokens that the survivors report to the map that results.

A slab is adopted by a survivor of its own host, by the one with the fewest objects. Where there is none, or the slab
can't be used, the tokens are minted all over the survivors, one steering slot as a whole at one survivor."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shoal.errors import InvalidRequestError, ShoalError
from shoal_dataplane import MEMBER_NONE, SLOTS, SLOTS_PER_STEERING, STEERING_SLOTS


@dataclass(frozen=True, slots=True)
class Worker:
    """A member, dead or alive."""

    name: str
    member: int
    life: int
    host: str
    objects: int = 0  # as last known


@dataclass(frozen=True, slots=True)
class Corpse:
    """A member that died since the last completed view."""

    worker: Worker
    slab_directory: str  # "": there is nothing to adopt
    refusal: str = ""  # why the slab can't be used


@dataclass(frozen=True, slots=True)
class Maps:
    """What is known of owners when somebody dies."""

    owner_now: bytes  # of each slot
    owner_next: bytes  # of the plan that was handing over; the same as owner_now where there was none
    steering: bytes  # of each steering slot: where its packets go, or will go once a redirection has ended


@dataclass(frozen=True, slots=True)
class ViewPlan:
    adopters: Mapping[int, int]  # dead member → survivor; those without a usable slab are left out
    mint: bytes  # by slot
    steering: bytes  # without the dead


class TokensError(ShoalError):
    """The survivors' tokens are no map: one is missing, or there twice."""


def whole(steering: bytes) -> bytes:
    """The owner of each slot where slots go with their steering slots: slot s with steering slot s / 64."""
    if len(steering) != STEERING_SLOTS:
        raise InvalidRequestError(f"a steering map has {STEERING_SLOTS} entries, not {len(steering)}")
    return b"".join(bytes([member]) * SLOTS_PER_STEERING for member in steering)


def plan_view(corpses: Sequence[Corpse], survivors: Sequence[Worker], maps: Maps) -> ViewPlan:
    """InvalidRequestError: nobody is left."""
    if not survivors:
        raise InvalidRequestError("a view needs a survivor")
    adopters = _adopters(corpses, survivors)
    dead = frozenset(corpse.worker.member for corpse in corpses)
    heirs = _heirs(maps.steering, dead, adopters, [worker.member for worker in survivors])
    mint = bytes(
        _minter(slot, (following, now), dead, adopters, heirs)
        for slot, (now, following) in enumerate(zip(maps.owner_now, maps.owner_next, strict=True))
    )
    return ViewPlan(adopters, mint, heirs)


def _adopters(corpses: Sequence[Corpse], survivors: Sequence[Worker]) -> dict[int, int]:
    """Those with the most objects choose first; what each adopts counts as its own."""
    load = {worker.member: worker.objects for worker in survivors}
    found = {}
    for corpse in sorted(corpses, key=lambda corpse: (-corpse.worker.objects, corpse.worker.member)):
        here = [worker.member for worker in survivors if worker.host == corpse.worker.host]
        if not corpse.slab_directory or not here:
            continue
        adopter = min(here, key=lambda member: (load[member], member))
        load[adopter] += corpse.worker.objects
        found[corpse.worker.member] = adopter
    return found


def _heirs(steering: bytes, dead: Collection[int], adopters: Mapping[int, int], survivors: Sequence[int]) -> bytes:
    """Where the packets of each steering slot go: those of the dead to the adopter, or to the one with the fewest."""
    counts = {member: steering.count(member) for member in survivors}
    for member, adopter in adopters.items():
        counts[adopter] += steering.count(member)
    heirs = bytearray(steering)
    for slot, member in enumerate(steering):
        if member not in dead and member in counts:
            continue
        heir = adopters.get(member)
        if heir is None:
            heir = min(counts, key=lambda each: (counts[each], each))
            counts[heir] += 1
        heirs[slot] = heir
    return bytes(heirs)


def _minter(
    slot: int, owners: tuple[int, int], dead: Collection[int], adopters: Mapping[int, int], heirs: bytes
) -> int:
    """Who mints a token that nobody reports: only a dead owner can have had it."""
    gone = [owner for owner in owners if owner in dead]
    for owner in gone:
        if owner in adopters:
            return adopters[owner]
    if gone or owners[0] == MEMBER_NONE:
        return heirs[slot // SLOTS_PER_STEERING]
    return owners[0]


def owners(tokens: Mapping[int, bytes]) -> bytes:
    """The map that the tokens of all members are: `tokens` holds a bit for each slot, by member."""
    found = bytearray([MEMBER_NONE]) * SLOTS
    for member, bits in tokens.items():
        if len(bits) * 8 != SLOTS:
            raise TokensError(f"member {member} answers with {len(bits) * 8} tokens, not {SLOTS}")
        for slot in range(SLOTS):
            if bits[slot >> 3] >> (slot & 7) & 1:
                if found[slot] != MEMBER_NONE:
                    raise TokensError(f"the token of slot {slot} is at members {found[slot]} and {member}")
                found[slot] = member
    missing = found.count(MEMBER_NONE)
    if missing:
        raise TokensError(f"{missing} tokens are at nobody, the first that of slot {found.index(MEMBER_NONE)}")
    return bytes(found)
