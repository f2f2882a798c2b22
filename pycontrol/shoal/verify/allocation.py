# SPDX-License-Identifier: BSD-3-Clause
"""What a NAT gave to whom, read from its output: mappings of inside endpoints to public ones, one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from shoal.verify.frame import PORT_NONE, PROTOCOL_NAMES, Endpoint, Kind, Packet
from shoal.verify.report import Fault, Report


@dataclass
class Mapping:
    """One inside endpoint's use of one public endpoint, in nanoseconds from its first packet to its last."""

    protocol: int
    inside: Endpoint
    public: Endpoint
    number: int
    """How many mappings this inside endpoint had before."""
    first_ns: int
    last_ns: int

    def __str__(self) -> str:
        return f"{PROTOCOL_NAMES.get(self.protocol, self.protocol)} {self.inside} → {self.public}"


class Allocations:
    """Built packet by packet, in the order of the output; reports what breaks the rules as it sees it.

    `idle_ns`: a mapping that saw no packet from inside for so long may end (RFC 4787 REQ-5). None: none ever ends.
    """

    def __init__(self, report: Report, public: frozenset[int], idle_ns: int | None) -> None:
        self._report = report
        self._allowed = public
        self._idle_ns = idle_ns
        self._of_inside: dict[tuple[int, Endpoint], list[Mapping]] = defaultdict(list)
        self._of_public: dict[tuple[int, Endpoint], list[Mapping]] = defaultdict(list)
        self._address_of: dict[int, tuple[int, int]] = {}

    def saw(self, before: Packet, after: Packet) -> Mapping:
        """The mapping that made `before` into `after`."""
        self._check_address(before, after)
        if before.kind is Kind.ERROR:
            known = self.of_public(after.protocol, after.local, after.time_ns)
            if known is not None and known.inside == before.local:
                return known
        own = self._of_inside[before.protocol, before.local]
        current = own[-1] if own else None
        if current is not None and current.public == after.local and not self._idle(current, after.time_ns):
            current.last_ns = max(current.last_ns, after.time_ns)
            return current
        if current is not None and current.public != after.local and not self._idle(current, after.time_ns):
            self._report.add(Fault.MAPPING_CHANGED, f"{current} became {after.local} while in use")
        return self._begin(before, after)

    def _begin(self, before: Packet, after: Packet) -> Mapping:
        own = self._of_inside[before.protocol, before.local]
        users = self._of_public[after.protocol, after.local]
        if users and after.local.port != PORT_NONE:
            last = max(users, key=lambda mapping: mapping.last_ns)
            if last.inside != before.local and not self._idle(last, after.time_ns):
                self._report.add(Fault.ENDPOINT_SHARED, f"{last} is in use, and {before.local} got {after.local} too")
        mapping = Mapping(
            before.protocol, before.local, after.local, len(own), first_ns=before.time_ns, last_ns=after.time_ns
        )
        own.append(mapping)
        users.append(mapping)
        return mapping

    def _check_address(self, before: Packet, after: Packet) -> None:
        """Paired pooling (RFC 4787 REQ-2): one inside address has one public address while it is active."""
        address = after.local.address
        if self._allowed and address not in self._allowed:
            self._report.add(Fault.ADDRESS_NOT_PUBLIC, f"{before.local} became {after.local}, no public address")
        if after.outer_local != address:
            self._report.add(
                Fault.ADDRESS_NOT_PAIRED, f"an ICMP error about {after.local} shows another address outside"
            )
        paired = self._address_of.get(before.local.address)
        now = after.time_ns
        if paired is not None and paired[0] != address and (self._idle_ns is None or now - paired[1] <= self._idle_ns):
            other = Endpoint(paired[0], PORT_NONE)
            self._report.add(Fault.ADDRESS_NOT_PAIRED, f"{before.local} became {after.local}, its address has {other}")
        self._address_of[before.local.address] = (address, now)

    def of_public(self, protocol: int, public: Endpoint, time_ns: int) -> Mapping | None:
        """The mapping that had a public endpoint at a time, else the first that had it later; None: none ever had."""
        users = self._of_public.get((protocol, public), [])
        by_then = [mapping for mapping in users if mapping.first_ns <= time_ns]
        if by_then:
            return max(by_then, key=lambda mapping: mapping.first_ns)
        return min(users, key=lambda mapping: mapping.first_ns, default=None)

    def live(self, mapping: Mapping, time_ns: int) -> bool:
        """Whether it was in force at a time, beyond doubt: a packet for it must pass then."""
        return mapping.first_ns <= time_ns and not self._idle(mapping, time_ns)

    def all(self) -> Sequence[Mapping]:
        return [mapping for mappings in self._of_inside.values() for mapping in mappings]

    def _idle(self, mapping: Mapping, time_ns: int) -> bool:
        return self._idle_ns is not None and time_ns - mapping.last_ns > self._idle_ns
