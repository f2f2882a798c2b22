# SPDX-License-Identifier: BSD-3-Clause
"""Where every packet of a run went, from three independent counts: of the kernel's links, of the splitter, and of the
instances.

  lost = what the ends sent and the ends did not get             the links' own counters
       = unread     came to the NAT's links and to no splitter   while none ran, or one stood still
       + dropped    by name, in the splitter or in an instance
       + in hands   of processes when they were killed           sent to an instance, not back and not dropped there
       + inside     a splitter when it was killed
       + on wires   that were cut                                sent by one end of a link and not there at the other
       + unsent     left a splitter and not by a link            a link that was down, or a splitter that was killed

A killed process's own counters are those that were read last, just before the kill. What a splitter did after that is
in its links' counters and not in its own: a packet that it passed on then counts as one more unread and one fewer
unsent (which may be negative), so that the sum is right; likewise one that was inside or in hands. Without kills, stops
and cuts all of those must be 0; with them, together they are never negative: nothing leaves that has not come.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoal.controller.instance_client import InstanceClient
from shoal.controller.splitter_client import SplitterClient
from shoal.errors import ShoalError
from shoal.model import InstanceStatus, Statistic
from shoal.run_directory import ProcessDirectory
from tests.smoke.network import Network

# What one instance may hold: parked packets, a burst in hand, suspended microthreads, fetches.
HELD_MAX = 8192 + 4096 + 4096
READ_S = 1.0
# Of an instance: what waits in it, and for whom.
WAITING = (
    "packets_inside",
    "packets_parked",
    "messages_parked",
    "microthreads_suspended",
    "leases_waiting",
    "slots_pending",
    "channel_waiting_bytes",
)


@dataclass(frozen=True)
class Book:
    """The last reading of one process's life."""

    received: int = 0
    transmitted: int = 0
    inside: int = 0
    at_members: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Of a splitter: what it has no account for."""
        return self.received - self.transmitted - self.inside - self.at_members - sum(self.dropped.values())


def _value(rows: Sequence[Statistic], name: str) -> int:
    return sum(row.value for row in rows if row.name == name)


async def waiting(instances: Sequence[InstanceStatus]) -> str:
    """What waits in each instance, and what it has dropped: for the report of a run in which somebody waits in vain."""
    told = []
    for instance in instances:
        client = InstanceClient(instance.name, f"unix:{instance.run_directory}/grpc.socket", 0)
        try:
            rows = [row for row in await client.statistics() if row.value and row.name in (*WAITING, "drops_total")]
            told.append(f"{instance.name}: " + ", ".join(f"{row.name} {row.label_value} {row.value}" for row in rows))
        except ShoalError as error:
            told.append(f"{instance.name}: {error}")
        finally:
            await client.close()
    return "; ".join(told)


def splitter_book(rows: Sequence[Statistic]) -> Book:
    member = {what: _value(rows, f"splitter_member_{what}_packets_total") for what in ("sent", "returned", "lost")}
    dropped = {row.label_value: row.value for row in rows if row.name == "splitter_drops_total" and row.value}
    # A record that a ring's reader refused is a drop, and no more at its member.
    away = member["sent"] - member["returned"] - member["lost"]
    return Book(
        received=_value(rows, "splitter_received_packets_total"),
        transmitted=_value(rows, "splitter_transmitted_packets_total"),
        inside=_value(rows, "splitter_inside_packets"),
        at_members=away,
        dropped=dropped,
    )


def instance_book(rows: Sequence[Statistic]) -> Book:
    return Book(dropped={row.label_value: row.value for row in rows if row.name == "drops_total" and row.value})


@dataclass(frozen=True)
class Account:
    """All of a run."""

    sent: int
    got: int
    unread: int
    dropped: Mapping[str, int]
    in_hands: int
    inside: int
    unsent: int
    on_wires: int
    missing: int  # that the splitter that lives has no account of

    @property
    def lost(self) -> int:
        return self.sent - self.got

    @property
    def nameless(self) -> int:
        """What came, and was neither dropped by name nor left again."""
        return self.unread + self.in_hands + self.inside + self.unsent


class Books:
    """Reads all processes whenever told, and puts the readings together at the end. The links are new: all that they
    count was of this run."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._splitters: dict[int, Book] = {}
        self._instances: dict[int, Book] = {}

    def _ends(self) -> tuple[int, int]:
        """What both ends have sent, and got."""
        net = self._network
        (got_c, sent_c), (got_s, sent_s) = net.client.packets("c0"), net.server.packets("s0")
        return sent_c + sent_s, got_c + got_s

    def _nat(self) -> tuple[int, int]:
        """What has come to the NAT's links, and left by them."""
        net = self._network
        (came_i, left_i), (came_o, left_o) = net.nat.packets(net.inside), net.nat.packets(net.outside)
        return came_i + came_o, left_i + left_o

    def still(self) -> tuple[int, ...]:
        """Changes as long as packets are under way."""
        return (*self._ends(), *self._nat())

    async def read(self, splitter: ProcessDirectory, instances: Sequence[InstanceStatus]) -> None:
        """Those that do not answer keep what they said last."""
        await self.read_splitter(splitter)
        for instance in instances:
            client = InstanceClient(instance.name, f"unix:{instance.run_directory}/grpc.socket", 0)
            with contextlib.suppress(ShoalError):
                self._instances[instance.life] = instance_book(await client.statistics())
            await client.close()

    async def read_splitter(self, splitter: ProcessDirectory) -> None:
        """Only its own."""
        splitting = SplitterClient(splitter.address, 0)
        with contextlib.suppress(ShoalError):
            process = (await splitting.report()).process
            self._splitters[process] = splitter_book(await splitting.statistics())
        await splitting.close()

    def account(self) -> Account:
        (sent, got), (came, left) = self._ends(), self._nat()
        splitters, instances = list(self._splitters.values()), self._instances.values()
        *killed, last = splitters
        dropped: Counter[str] = Counter()
        for book in (*splitters, *instances):
            dropped.update(book.dropped)
        named_inside = sum(sum(book.dropped.values()) for book in instances)
        return Account(
            sent=sent,
            got=got,
            unread=came - sum(book.received for book in splitters),
            dropped=dict(dropped),
            in_hands=sum(book.at_members for book in splitters) - named_inside,
            inside=sum(book.inside for book in splitters) + sum(book.missing for book in killed),
            unsent=sum(book.transmitted for book in splitters) - (left),
            on_wires=sent - came + left - got,
            missing=last.missing,
        )


def faults(
    account: Account, *, splitters_killed: int, splitters_stopped: int, instances_dead: int, links_cut: int
) -> list[str]:
    """What is wrong with the books, as sentences."""
    found = []
    total = account.nameless + sum(account.dropped.values()) + account.on_wires
    if account.nameless < 0:
        found.append(f"{-account.nameless} packets more have left or were dropped than came")
    if account.lost != total:
        found.append(f"{account.lost} packets were lost, {total} are accounted for")
    if account.on_wires < 0 or (account.on_wires and not links_cut):
        found.append(f"{account.on_wires} packets were lost on the links")
    if account.missing:
        found.append(f"the splitter has no account of {account.missing} packets")
    if not splitters_killed:
        if account.inside:
            found.append(f"{account.inside} packets are inside the splitter for ever")
        if account.unread < 0 or (account.unread and not splitters_stopped):
            found.append(f"{account.unread} packets came, and the splitter did not read them")
        if account.unsent < 0 or (account.unsent and not links_cut):
            found.append(f"{account.unsent} packets were transmitted and left by no link")
        most = instances_dead * HELD_MAX
        if not 0 <= account.in_hands <= most:
            found.append(f"{account.in_hands} packets were in the hands of {instances_dead} that died")
    return found
