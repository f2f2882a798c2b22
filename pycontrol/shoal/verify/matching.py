# SPDX-License-Identifier: BSD-3-Clause
"""Which output came of which input: by all that a NAT may not change.

Most packets differ in that from all others. Where several inside endpoints sent equal packets, the ones that could be
told apart say which public endpoint belongs to whom; where there is none, endpoints whose packets are the same
altogether are paired, and then nobody could tell them apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from shoal.verify.frame import Endpoint, Packet

Key = tuple[int, Endpoint, bytes]
Profile = frozenset[tuple[Hashable, int]]


@dataclass
class Matching:
    """Pairs are (index of input, index of output), in the order of the outputs."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    """Inputs of which nothing came."""
    duplicated: list[int] = field(default_factory=list)
    """Outputs that equal an input of which something had come already."""
    unexpected: list[int] = field(default_factory=list)
    """Outputs that equal no input."""
    corrupted: list[tuple[int, int]] = field(default_factory=list)
    """(Input, output): one of the lost and one of the unexpected, of one flow and near enough to be the same packet."""


class Outbound:
    """Matches what left the NAT, whose local endpoints are the NAT's choice, to what came from inside."""

    def __init__(self, inputs: Sequence[Packet], outputs: Sequence[Packet]) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._waiting: dict[Key, dict[Endpoint, deque[int]]] = defaultdict(lambda: defaultdict(deque))
        for index, packet in enumerate(inputs):
            self._waiting[packet.key][packet.local].append(index)
        self._found: dict[int, int] = {}
        self._users: dict[tuple[int, Endpoint], Counter[Endpoint]] = defaultdict(Counter)
        self._mapped: set[tuple[int, Endpoint]] = set()
        self._addresses: dict[int, set[int]] = defaultdict(set)

    def match(self) -> Matching:
        """The most certain first: packets that only one endpoint sent, endpoints that sent just the same, the rest."""
        self._pass(self._only_sender)
        if len(self._found) < len(self._outputs):
            profiles = _Profiles(self._inputs, self._outputs)
            self._pass(profiles.alike)
            self._pass(self._first_waiting)
        return _sorted_out(self._inputs, self._outputs, self._found, self._waiting)

    def _pass(self, choose: Callable[[Packet, list[Endpoint]], Endpoint | None]) -> None:
        """Takes for each output one of the inputs that equal it: of the endpoint that uses its public one, if known."""
        for index, packet in enumerate(self._outputs):
            queues = self._waiting.get(packet.key)
            if queues is None or index in self._found:
                continue
            candidates = [local for local, indices in queues.items() if indices]
            users = self._users[packet.protocol, packet.local]
            known = [local for local in candidates if users[local]]
            if known:
                local: Endpoint | None = max(known, key=lambda candidate: users[candidate])
            else:
                local = choose(packet, self._likely(packet, candidates))
            if local is not None:
                users[local] += 1
                self._addresses[local.address].add(packet.local.address)
                self._mapped.add((packet.protocol, local))
                self._found[index] = queues[local].popleft()

    def _likely(self, packet: Packet, candidates: list[Endpoint]) -> list[Endpoint]:
        """Those that have no public endpoint yet; of them, those whose host is known under the packet's address."""
        free = [local for local in candidates if (packet.protocol, local) not in self._mapped] or candidates
        return [local for local in free if packet.local.address in self._addresses[local.address]] or free

    def _only_sender(self, packet: Packet, candidates: list[Endpoint]) -> Endpoint | None:
        return candidates[0] if len(self._waiting[packet.key]) == 1 and candidates else None

    def _first_waiting(self, packet: Packet, candidates: list[Endpoint]) -> Endpoint | None:
        return min(candidates, key=lambda local: self._waiting[packet.key][local][0], default=None)


class _Profiles:
    """All packets of an endpoint, as a multiset: equal for the two sides of one mapping when nothing went wrong."""

    def __init__(self, inputs: Iterable[Packet], outputs: Iterable[Packet]) -> None:
        self._inputs = _profiles_of(inputs)
        self._outputs = _profiles_of(outputs)

    def alike(self, packet: Packet, candidates: list[Endpoint]) -> Endpoint | None:
        wanted = self._outputs[packet.protocol, packet.local]
        return next((local for local in candidates if self._inputs[packet.protocol, local] == wanted), None)


def _profiles_of(packets: Iterable[Packet]) -> dict[tuple[int, Endpoint], Profile]:
    counts: dict[tuple[int, Endpoint], Counter[Key]] = defaultdict(Counter)
    for packet in packets:
        counts[packet.protocol, packet.local][packet.key] += 1
    return {local: frozenset(count.items()) for local, count in counts.items()}


def match_to_known(inputs: Sequence[tuple[Endpoint, Packet]], outputs: Sequence[Packet]) -> Matching:
    """Matches what entered the inside to what came from outside, each with the inside endpoint that it should reach."""
    waiting: dict[Key, dict[Endpoint, deque[int]]] = defaultdict(lambda: defaultdict(deque))
    for index, (local, packet) in enumerate(inputs):
        waiting[packet.key][local].append(index)
    found: dict[int, int] = {}
    for mine in (True, False):
        for index, packet in enumerate(outputs):
            if index in found or packet.key not in waiting:
                continue
            queues = waiting[packet.key]
            # First each to its own; then what is left over went to the wrong endpoint.
            locals_ = [packet.local] if mine else [local for local, queue in queues.items() if queue]
            queue = next((queues[local] for local in locals_ if queues.get(local)), None)
            if queue:
                found[index] = queue.popleft()
    return _sorted_out([packet for _, packet in inputs], outputs, found, waiting)


def _sorted_out(
    inputs: Sequence[Packet],
    outputs: Sequence[Packet],
    found: dict[int, int],
    waiting: dict[Key, dict[Endpoint, deque[int]]],
) -> Matching:
    matching = Matching(pairs=[(found[index], index) for index in sorted(found)])
    used = set(found.values())
    matching.lost = [index for index in range(len(inputs)) if index not in used]
    for index, packet in enumerate(outputs):
        if index not in found:
            (matching.duplicated if packet.key in waiting else matching.unexpected).append(index)
    _pair_corrupted(inputs, outputs, matching)
    return matching


def _pair_corrupted(inputs: Sequence[Packet], outputs: Sequence[Packet], matching: Matching) -> None:
    """A lost and an unexpected packet of one flow and length, most of whose bytes are equal, are one that was
    changed."""
    lost: dict[tuple[int, Endpoint, int], list[int]] = defaultdict(list)
    for index in matching.lost:
        packet = inputs[index]
        lost[packet.protocol, packet.remote, len(packet.constant)].append(index)
    unexpected = []
    for index in matching.unexpected:
        packet = outputs[index]
        near = lost[packet.protocol, packet.remote, len(packet.constant)]
        best = min(near, key=lambda candidate: _distance(inputs[candidate].constant, packet.constant), default=None)
        if best is None or _distance(inputs[best].constant, packet.constant) > len(packet.constant) // 2:
            unexpected.append(index)
            continue
        near.remove(best)
        matching.corrupted.append((best, index))
    gone = {index for index, _ in matching.corrupted}
    matching.lost = [index for index in matching.lost if index not in gone]
    matching.unexpected = unexpected


def _distance(first: bytes, second: bytes) -> int:
    """Bytes in which they differ."""
    return sum(a != b for a, b in zip(first, second, strict=True))
