# SPDX-License-Identifier: BSD-3-Clause
"""What a NAT gave to whom, read from its output: mappings of inside endpoints to public ones, one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass

from shoal.verify.frame import PORT_NONE, PROTOCOL_NAMES, Endpoint, Kind, Packet
from shoal.verify.report import Fault, Report


@dataclass(frozen=True)
class Idle:
    """How long a mapping may be silent, in nanoseconds."""

    may_end_ns: int
    """From then on it may end (RFC 4787 REQ-5)."""
    has_ended_ns: int | None = None
    """By then it has ended for sure; None: that is not known."""


@dataclass(frozen=True)
class Loss:
    """A time in which mappings may have ended that were in use: of public ports whose remainder is one of these."""

    first_ns: int
    last_ns: int
    remainders: frozenset[int]
    divisor: int = 256

    def may_have_ended(self, mapping: Mapping, time_ns: int) -> bool:
        concerned = mapping.public.port == PORT_NONE or mapping.public.port % self.divisor in self.remainders
        return concerned and self.first_ns <= time_ns and mapping.last_ns <= self.last_ns


@dataclass
class Mapping:
    """One inside endpoint's use of one public endpoint, in nanoseconds from its first packet to its last."""

    protocol: int
    inside: Endpoint
    public: Endpoint
    changes: int
    """How often this inside endpoint has got another public one where it could have kept what it had."""
    first_ns: int
    last_ns: int

    def __str__(self) -> str:
        return f"{PROTOCOL_NAMES.get(self.protocol, self.protocol)} {self.inside} → {self.public}"


class Allocations:
    """Built packet by packet, in the order of the output; reports what breaks the rules as it sees it.

    `idle`: by protocol, how long a mapping may see no packet from inside; without an entry it never ends. Nor does it
    without one of the `losses`.
    """

    def __init__(
        self, report: Report, public: frozenset[int], idle: MappingOf[int, Idle], losses: Sequence[Loss] = ()
    ) -> None:
        self._report = report
        self._allowed = public
        self._idle_of = idle
        self._losses = losses
        self._host_idle_ns = min((times.may_end_ns for times in idle.values()), default=None)
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
        changes = self._changes(own[-1], after) if own else 0
        mapping = Mapping(
            before.protocol, before.local, after.local, changes, first_ns=before.time_ns, last_ns=after.time_ns
        )
        own.append(mapping)
        users.append(mapping)
        return mapping

    def _changes(self, last: Mapping, after: Packet) -> int:
        """After a mapping's sure end it is chance whether the next one is like it; before, it is a decision."""
        times = self._idle_of.get(last.protocol)
        by_chance = times and times.has_ended_ns is not None and after.time_ns - last.last_ns > times.has_ended_ns
        return last.changes + (last.public != after.local and not by_chance)

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
        in_use = paired is not None and (self._host_idle_ns is None or now - paired[1] <= self._host_idle_ns)
        if paired is not None and paired[0] != address and in_use:
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
        times = self._idle_of.get(mapping.protocol)
        silent = times is not None and time_ns - mapping.last_ns > times.may_end_ns
        return silent or any(loss.may_have_ended(mapping, time_ns) for loss in self._losses)
