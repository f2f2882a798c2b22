# SPDX-License-Identifier: BSD-3-Clause
"""The rules for one run of a NAT: every packet that left it is a right translation of one that entered, in its flow's
order; nothing is lost; mappings are independent of the other end, and no two of them share a public endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shoal.verify.allocation import Allocations, Mapping
from shoal.verify.frame import PORT_NONE, PROTOCOL_NAMES, Endpoint, Kind, Packet
from shoal.verify.matching import Matching, Outbound, match_to_known
from shoal.verify.report import Fault, Report
from shoal.verify.run import Run

RESIDUAL_NAMES = ("IP header", "transport", "inner IP header", "inner transport")
Flow = tuple[str, int, Endpoint, Endpoint]
"""Direction, protocol, inside endpoint, remote endpoint."""


@dataclass(frozen=True)
class Rules:
    """What the check needs to know of the NAT."""

    public: frozenset[int] = frozenset()
    """Its public addresses; empty: any that it uses."""
    idle_ns: int | None = None
    """Silence from inside after which a mapping may end; None: none may end during the run."""
    loss_allowed: int = 0


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
    """How many mappings each inside endpoint had."""


class Translation:
    """Checks one run; the result is in `report` and `translated`."""

    def __init__(self, run: Run, rules: Rules) -> None:
        self.report = Report(loss_allowed=rules.loss_allowed)
        self.translated = Translated()
        self._run = run
        self._allocations = Allocations(self.report, rules.public, rules.idle_ns)
        self._hops: set[int] = set()

    def check(self) -> Translation:
        self._outbound()
        self._inbound()
        self._hairpin()
        if len(self._hops) > 1 or self._hops - {0, 1}:
            hops = ", ".join(str(hop) for hop in sorted(self._hops))
            self.report.add(
                Fault.TIME_TO_LIVE, f"the time to live falls by {hops}: not by one number, 0 or 1, throughout"
            )
        for mapping in self._allocations.all():
            key = mapping.protocol, mapping.inside
            self.translated.mappings[key] = max(self.translated.mappings.get(key, 0), mapping.number + 1)
        run = self._run
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

    def _outbound(self) -> None:
        run = self._run
        self._leaving("out", run.outbound_in.packets, run.outbound_out.packets)
        for what in run.outbound_out.ignored:
            self.report.add(Fault.UNEXPECTED, f"sent outside: {what}")

    def _hairpin(self) -> None:
        """From inside to a public endpoint: both ends are translated (RFC 4787 REQ-9)."""
        inputs = []
        for packet in self._run.hairpin_in.packets:
            mapping = self._allocations.of_public(packet.protocol, packet.remote, packet.time_ns)
            if packet.kind is Kind.TRANSPORT and mapping and self._allocations.live(mapping, packet.time_ns):
                inputs.append(replace(packet, remote=mapping.inside))
        outputs = [
            replace(packet, local=packet.remote, remote=packet.local, outer_local=packet.remote.address)
            for packet in self._run.hairpin_out.packets
            if packet.kind is Kind.TRANSPORT
        ]
        self._leaving("hairpin", inputs, outputs)

    def _leaving(self, direction: str, inputs: Sequence[Packet], outputs: Sequence[Packet]) -> None:
        """Packets whose source the NAT has translated."""
        matching = Outbound(inputs, outputs).match()
        for before, after in matching.pairs:
            self._allocations.saw(inputs[before], outputs[after])
        self._judge(direction, [Arrival(packet.local, packet) for packet in inputs], outputs, matching)

    def _inbound(self) -> None:
        expected = self._expected()
        outputs = self._run.inbound_out.packets
        matching = match_to_known([(arrival.inside, arrival.packet) for arrival in expected], outputs)
        for before, after in matching.pairs:
            arrival = expected[before]
            if outputs[after].local != arrival.inside:
                text = f"{_name(arrival.packet)} belongs to {arrival.inside} and came to {outputs[after].local}"
                self.report.add(Fault.MISDELIVERED, text)
        self._judge("in", expected, outputs, matching)
        for what in self._run.inbound_out.ignored:
            self.report.add(Fault.UNEXPECTED, f"sent inside: {what}")

    def _expected(self) -> list[Arrival]:
        """The packets from outside to endpoints that were somebody's during the run."""
        expected = []
        datagrams: dict[tuple[int, int, int, int], Mapping] = {}
        for packet in self._run.inbound_in.packets:
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


def _name(packet: Packet) -> str:
    return f"{PROTOCOL_NAMES.get(packet.protocol, packet.protocol)} {packet.local} ↔ {packet.remote}"
