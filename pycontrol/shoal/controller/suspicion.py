# SPDX-License-Identifier: BSD-3-Clause
"""Who is cut off, from what members on several hosts say of one another (docs/between-hosts.md). Pure.

Silence is a matter of hosts: two hosts are cut off from each other where no member of one has had an answer from any
member of the other for long enough. A member that alone is silent, while others of its host are heard, is stalled, and
a single channel that is broken resumes: neither is a death."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True, slots=True)
class Witness:
    """A member whose process has not ended, as far as is known."""

    name: str
    member: int
    host: str
    objects: int = 0
    silent_ms: Mapping[int, int] | None = None  # of each member on another host; None: it does not answer


def majority(members: Collection[int], among: Collection[int]) -> bool:
    """Whether `among` is a majority of `members`; the controller speaks with it where it is exactly half."""
    return 2 * len(set(among) & set(members)) >= len(set(members)) > 0


def silence_ms(first: Iterable[Witness], second: Iterable[Witness]) -> int:
    """For how long no member of one host has had an answer from one of the other; 0: nobody can say."""
    here, there = list(first), list(second)
    said = [
        witness.silent_ms[other.member]
        for mine, others in ((here, there), (there, here))
        for witness in mine
        if witness.silent_ms is not None
        for other in others
        if other.member in witness.silent_ms
    ]
    return min(said, default=0)


def hosts_of(witnesses: Iterable[Witness]) -> dict[str, list[Witness]]:
    found: dict[str, list[Witness]] = {}
    for witness in witnesses:
        found.setdefault(witness.host, []).append(witness)
    return found


def silent_pairs(witnesses: Iterable[Witness], after_ms: int) -> dict[tuple[str, str], int]:
    """Pairs of hosts that have not heard each other for so long, and for how long."""
    hosts = hosts_of(witnesses)
    found = {(one, other): silence_ms(hosts[one], hosts[other]) for one, other in combinations(sorted(hosts), 2)}
    return {pair: silent for pair, silent in found.items() if silent >= after_ms}


def cut_off(witnesses: Sequence[Witness], maps: Sequence[Collection[int]], dead_after_ms: int) -> frozenset[str]:
    """Names of those that are to be declared dead, so that the others can go on. `maps`: the members of each map in
    force. None, where all hear each other, or where those that do are no majority."""
    silent = silent_pairs(witnesses, dead_after_ms)
    if not silent:
        return frozenset()
    hosts = hosts_of(witnesses)
    best = max((_group(seed, hosts, silent) for seed in sorted(hosts)), key=lambda group: _weight(group, hosts))
    stay = [witness for host in best for witness in hosts[host]]
    if not all(majority(members, [witness.member for witness in stay]) for members in maps):
        return frozenset()
    return frozenset(witness.name for witness in witnesses if witness not in stay)


def _group(seed: str, hosts: Mapping[str, Sequence[Witness]], silent: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """Hosts that all hear each other, from one on; those with the most members first."""
    group = [seed]
    for host in sorted(hosts, key=lambda host: (-len(hosts[host]), host)):
        if host not in group and not any(tuple(sorted((host, each))) in silent for each in group):
            group.append(host)
    return tuple(group)


def _weight(group: Iterable[str], hosts: Mapping[str, Sequence[Witness]]) -> tuple[int, int, int, int]:
    """The most members; then those that answer; then the most objects; then the one with the lowest number."""
    members = [witness for host in group for witness in hosts[host]]
    return (
        len(members),
        sum(witness.silent_ms is not None for witness in members),
        sum(witness.objects for witness in members),
        -min(witness.member for witness in members),
    )
