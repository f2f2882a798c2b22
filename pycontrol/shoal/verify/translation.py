# SPDX-License-Identifier: BSD-3-Clause
"""The rules for one run of a NAT: every packet that left it is a right translation of one that entered, in its flow's
order; nothing is lost; mappings are independent of the other end, and no two of them share a public endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from itertools import chain

from shoal.verify.allocation import Allocations, Idle, Loss, Mapping
from shoal.verify.frame import PORT_NONE, PROTOCOL_NAMES, Endpoint, Kind, Packet
from shoal.verify.matching import Matching, Outbound, match_to_known
from shoal.verify.report import Fault, Report
from shoal.verify.run import Run

RESIDUAL_NAMES = ("IP header", "transport", "inner IP header", "inner transport")
UNKNOWN = Endpoint(0, PORT_NONE)
Flow = tuple[str, int, Endpoint, Endpoint]
"""Direction, protocol, inside endpoint, remote endpoint."""


@dataclass(frozen=True)
class Rules:
    """What the check needs to know of the NAT."""

    public: frozenset[int] = frozenset()
    """Its public addresses; empty: any that it uses."""
    idle: MappingOf[int, Idle] = field(default_factory=dict)
    """By protocol, silence from inside after which a mapping may end; a missing one: none may end during the run."""
    loss_allowed: int = 0
    losses: tuple[Loss, ...] = ()
    """When the NAT may have lost mappings."""


@dataclass(frozen=True)
class Arrival:
    """A packet that entered the NAT, and the inside endpoint that it comes from or belongs to."""

    inside: Endpoint
    packet: Packet
    must_pass: bool = True
    """Whether its mapping was in force beyond doubt; otherwise the NAT may drop it or let it pass."""

    def flow(self, direction: str) -> Flow:
        return direction, self.packet.protocol, self.inside, self.packet.remote


@dataclass
class Translated:
    """A run in terms that do not depend on what the NAT allocated: the packets of each flow, in order."""

    sent: dict[Flow, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    received: dict[Flow, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    mappings: dict[tuple[int, Endpoint], int] = field(default_factory=dict)
    """How often each inside endpoint got another public one."""


class Translation:
    """Checks one run; the result is in `report` and `translated`."""

    def __init__(self, run: Run, rules: Rules) -> None:
        self.report = Report(loss_allowed=rules.loss_allowed)
        self.translated = Translated()
        self.run = run
        self._allocations = Allocations(self.report, rules.public, rules.idle, rules.losses)
        self._hops: set[int] = set()

    def check(self) -> Translation:
        run = self.run
        hairpin_in, hairpin_out = self._hairpin_streams()
        outbound = Outbound(run.outbound_in.packets, run.outbound_out.packets).match()
        hairpin = Outbound(hairpin_in, hairpin_out).match()
        self._allocate(
            _translations(outbound, run.outbound_in.packets, run.outbound_out.packets),
            _translations(hairpin, hairpin_in, hairpin_out),
        )
        self._outbound(outbound)
        self._inbound()
        self._hairpin(hairpin, hairpin_in, hairpin_out)
        self._books()
        if len(self._hops) > 1 or self._hops - {0, 1}:
            hops = ", ".join(str(hop) for hop in sorted(self._hops))
            self.report.add(
                Fault.TIME_TO_LIVE, f"the time to live falls by {hops}: not by one number, 0 or 1, throughout"
            )
        for mapping in self._allocations.all():
            key = mapping.protocol, mapping.inside
            self.translated.mappings[key] = max(self.translated.mappings.get(key, 0), mapping.changes)
        self.report.checked = {
            "packets_from_inside": len(run.outbound_in.packets) + len(run.hairpin_in.packets),
            "packets_to_outside": len(run.outbound_out.packets),
            "packets_from_outside": len(run.inbound_in.packets),
            "packets_to_inside": len(run.inbound_out.packets) + len(run.hairpin_out.packets),
            "frames_not_translatable": sum(run.outbound_in.ignored.values()) + sum(run.inbound_in.ignored.values()),
            "mappings": len(self._allocations.all()),
            "flows": len(self.translated.sent),
        }
        return self

    def _allocate(self, *translations: Iterable[tuple[Packet, Packet]]) -> None:
        """Looks at all packets whose source was translated, wherever they went, in the order in which they left."""
        for before, after in sorted(chain(*translations), key=lambda pair: pair[1].time_ns):
            self._allocations.saw(before, after)

    def _outbound(self, matching: Matching) -> None:
        run = self.run
        inputs = [Arrival(packet.local, packet) for packet in run.outbound_in.packets]
        self._judge("out", inputs, run.outbound_out.packets, matching)
        for what in run.outbound_out.ignored:
            self.report.add(Fault.UNEXPECTED, f"sent outside: {what}")

    def _hairpin_streams(self) -> tuple[list[Packet], list[Packet]]:
        """From inside to a public endpoint: both ends are translated (RFC 4787 REQ-9). The far end is left out here: it
        is different before and after."""
        inputs = [
            replace(packet, remote=UNKNOWN) for packet in self.run.hairpin_in.packets if packet.kind is Kind.TRANSPORT
        ]
        outputs = [
            replace(packet, local=packet.remote, remote=UNKNOWN, outer_local=packet.remote.address)
            for packet in self.run.hairpin_out.packets
            if packet.kind is Kind.TRANSPORT
        ]
        return inputs, outputs

    def _hairpin(self, matching: Matching, inputs: Sequence[Packet], outputs: Sequence[Packet]) -> None:
        targets = [packet.remote for packet in self.run.hairpin_in.packets if packet.kind is Kind.TRANSPORT]
        reached = [packet.local for packet in self.run.hairpin_out.packets if packet.kind is Kind.TRANSPORT]
        arrivals = []
        for packet, target in zip(inputs, targets, strict=True):
            mapping = self._allocations.of_public(packet.protocol, target, packet.time_ns)
            must_pass = mapping is not None and self._allocations.live(mapping, packet.time_ns)
            remote = mapping.inside if mapping else UNKNOWN
            arrivals.append(Arrival(packet.local, replace(packet, remote=remote), must_pass))
        for before, after in matching.pairs:
            expected = arrivals[before].packet.remote
            if reached[after] != expected:
                text = f"{_name(arrivals[before].packet)} belongs to {expected} and came to {reached[after]}"
                self.report.add(Fault.MISDELIVERED, text)
        self._judge("hairpin", arrivals, outputs, matching)

    def _books(self) -> None:
        """Every frame that came has left or was dropped by name."""
        run = self.run
        if run.drops is None:
            return
        came, left, dropped = run.frames_in, run.frames_out, sum(run.drops.values())
        if came != left + dropped:
            text = (
                f"{came} frames came, {left} left and {dropped} were dropped by name: {came - left - dropped} missing"
            )
            self.report.add(Fault.BOOKS, text)

    def _inbound(self) -> None:
        expected = self._expected()
        outputs = self.run.inbound_out.packets
        matching = match_to_known([(arrival.inside, arrival.packet) for arrival in expected], outputs)
        for before, after in matching.pairs:
            arrival = expected[before]
            if outputs[after].local != arrival.inside:
                text = f"{_name(arrival.packet)} belongs to {arrival.inside} and came to {outputs[after].local}"
                self.report.add(Fault.MISDELIVERED, text)
        self._judge("in", expected, outputs, matching)
        for what in self.run.inbound_out.ignored:
            self.report.add(Fault.UNEXPECTED, f"sent inside: {what}")

    def _expected(self) -> list[Arrival]:
        """The packets from outside to endpoints that were somebody's during the run."""
        expected = []
        datagrams: dict[tuple[int, int, int, int], Mapping] = {}
        for packet in self.run.inbound_in.packets:
            datagram = packet.remote.address, packet.outer_local, packet.protocol, packet.identification
            fragment = packet.kind is Kind.FRAGMENT
            mapping = (
                datagrams.get(datagram)
                if fragment
                else self._allocations.of_public(packet.protocol, packet.local, packet.time_ns)
            )
            if mapping is not None:
                datagrams[datagram] = mapping
                inside = Endpoint(mapping.inside.address, PORT_NONE) if fragment else mapping.inside
                expected.append(Arrival(inside, packet, must_pass=self._allocations.live(mapping, packet.time_ns)))
        return expected

    def _judge(
        self,
        direction: str,
        inputs: Sequence[Arrival],
        outputs: Sequence[Packet],
        matching: Matching,
    ) -> None:
        """What all directions have in common: loss, order, copies, checksums."""
        last: dict[Flow, int] = defaultdict(lambda: -1)
        for arrival in inputs:
            if arrival.must_pass:
                self.translated.received[arrival.flow(direction)].append(arrival.packet.constant)
        for before, after in matching.pairs:
            packet, flow = inputs[before].packet, inputs[before].flow(direction)
            self.translated.sent[flow].append(outputs[after].constant)
            if before < last[flow]:
                self.report.add(Fault.REORDERED, f"{_name(packet)} (packet {before}) left behind packet {last[flow]}")
            last[flow] = max(last[flow], before)
            self._same(packet, outputs[after])
        for index in matching.lost:
            if inputs[index].must_pass:
                self.report.add(Fault.LOST, f"{_name(inputs[index].packet)} (packet {index}) did not come out")
        for index in matching.duplicated:
            self.report.add(Fault.DUPLICATED, f"{_name(outputs[index])} left more often than it came (output {index})")
        for index in matching.unexpected:
            self.report.add(Fault.UNEXPECTED, f"{_name(outputs[index])} equals no input (output {index})")
        for before, after in matching.corrupted:
            name = _name(inputs[before].packet)
            self.report.add(Fault.CORRUPTED, f"{name} (packet {before}) was changed (output {after})")

    def _same(self, before: Packet, after: Packet) -> None:
        self._hops.add(before.time_to_live - after.time_to_live)
        for name, old, new in zip(RESIDUAL_NAMES, before.residuals, after.residuals, strict=False):
            if new != old and (old is None or new != 0):
                self.report.add(Fault.CHECKSUM, f"{_name(after)}: {name} checksum is wrong")


def _translations(
    matching: Matching, inputs: Sequence[Packet], outputs: Sequence[Packet]
) -> Iterator[tuple[Packet, Packet]]:
    return ((inputs[before], outputs[after]) for before, after in matching.pairs)


def _name(packet: Packet) -> str:
    return f"{PROTOCOL_NAMES.get(packet.protocol, packet.protocol)} {packet.local} ↔ {packet.remote}"
