# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces of one test: made under names of its own, and gone at its end whatever happens."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

RUN = os.environ.get("SHOAL_TEST_RUN", str(os.getpid()))
CLIENT_MAC, SERVER_MAC = "02:00:00:00:01:01", "02:00:00:00:02:01"
# What the kernel would leave to a network card: checksums, and cutting large segments into packets.
OFFLOADS = ("tx", "rx", "tso", "gso", "gro", "sg", "txvlan", "rxvlan")


class NetworkError(RuntimeError):
    """A namespace or link could not be made; the text holds what `ip` said."""


@dataclass(frozen=True)
class Namespace:
    """One network namespace."""

    name: str

    def command(self, *words: str) -> list[str]:
        """The command as it runs inside."""
        return ["ip", "netns", "exec", self.name, *words]

    def ip(self, *commands: str) -> None:
        """Runs `ip` commands inside, one after the other; NetworkError where one fails."""
        _run(["ip", "-netns", self.name, "-batch", "-"], "\n".join(commands))

    def receive_errors(self, link: str) -> dict[str, int]:
        """Counters of what a link dropped."""
        folder = f"/sys/class/net/{link}/statistics"
        names = ("rx_dropped", "tx_dropped", "rx_errors", "tx_errors")
        output = _run(self.command("cat", *(f"{folder}/{name}" for name in names)))
        return dict(zip(names, map(int, output.split()), strict=True))

    def packets(self, link: str) -> tuple[int, int]:
        """What has come by a link, and what has left by it."""
        folder = f"/sys/class/net/{link}/statistics"
        came, left = _run(self.command("cat", f"{folder}/rx_packets", f"{folder}/tx_packets")).split()
        return int(came), int(left)

    def sent_bytes(self, link: str) -> int:
        """Bytes that have left by a link."""
        return int(_run(self.command("cat", f"/sys/class/net/{link}/statistics/tx_bytes")))


def _run(command: Sequence[str], text: str = "") -> str:
    answer = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)
    if answer.returncode:
        raise NetworkError(f"{' '.join(command)}: {answer.stderr.strip() or answer.stdout.strip()}")
    return answer.stdout


def permitted() -> bool:
    """Whether this user may make namespaces."""
    return os.geteuid() == 0 and Path("/proc/self/ns/net").exists()


@contextlib.contextmanager
def namespace(role: str) -> Iterator[Namespace]:
    """A namespace with loopback; deleted at the end, with all links in it."""
    made = Namespace(f"shoal-{RUN}-{role}")
    _run(["ip", "netns", "add", made.name])
    try:
        made.ip("link set lo up")
        yield made
    finally:
        _run(["ip", "netns", "delete", made.name])


def link(first: Namespace, first_name: str, second: Namespace, second_name: str) -> None:
    """A pair of virtual Ethernet devices, up, without offloads, one end in each namespace."""
    _run(
        [
            *("ip", "-netns", first.name, "link", "add", first_name, "type", "veth"),
            *("peer", "name", second_name, "netns", second.name),
        ]
    )
    for side, name in ((first, first_name), (second, second_name)):
        for offload in OFFLOADS:
            # Which of them exist differs between kernels; what counts is checked by the traffic itself.
            subprocess.run(
                side.command("ethtool", "-K", name, offload, "off"), capture_output=True, timeout=30, check=False
            )
        side.ip(f"link set {name} addrgenmode none", f"link set {name} up")


def addresses(first: str, count: int) -> list[str]:
    """Consecutive IPv4 addresses."""
    return [str(IPv4Address(first) + offset) for offset in range(count)]


@dataclass(frozen=True)
class Network:
    """Client — NAT — server; the NAT's ends are `inside` and `outside`. See the picture in the tests."""

    client: Namespace
    nat: Namespace
    server: Namespace
    client_addresses: tuple[str, ...]
    public_addresses: tuple[str, ...]
    server_address: str = "48.0.0.1"
    inside: str = "inside"
    outside: str = "outside"

    def link_drops(self) -> dict[str, dict[str, int]]:
        """What the links dropped, for a failed test's report."""
        return {
            name: side.receive_errors(name)
            for side, name in (
                (self.client, "c0"),
                (self.nat, self.inside),
                (self.nat, self.outside),
                (self.server, "s0"),
            )
        }


@contextlib.contextmanager
def network(
    clients: int = 64, public: int = 4, *, addressed: bool = True, retransmit_ms: int = 200
) -> Iterator[Network]:
    """The NAT passes frames on with their MAC addresses as they are, so both ends know each other's by heart: no ARP.
    Not addressed: the kernels at both ends have no address, and say nothing of their own. `retransmit_ms`: after how
    long TCP repeats what is not acknowledged, at the least."""
    with namespace("client") as client, namespace("nat") as nat, namespace("server") as server:
        made = Network(
            client, nat, server, tuple(addresses("16.0.0.1", clients)), tuple(addresses("203.0.113.1", public))
        )
        link(client, "c0", nat, made.inside)
        link(server, "s0", nat, made.outside)
        if addressed:
            _address(made, retransmit_ms)
        yield made


def _address(made: Network, retransmit_ms: int) -> None:
    times = f"rto_min {retransmit_ms}ms"
    made.client.ip(
        f"link set c0 address {CLIENT_MAC}",
        *(f"address add {address}/32 dev c0" for address in made.client_addresses),
        f"neighbour add {made.server_address} lladdr {SERVER_MAC} dev c0 nud permanent",
        f"route add {made.server_address}/32 dev c0 src {made.client_addresses[0]} {times}",
    )
    made.server.ip(
        f"link set s0 address {SERVER_MAC}",
        f"address add {made.server_address}/32 dev s0",
        *(f"neighbour add {address} lladdr {CLIENT_MAC} dev s0 nud permanent" for address in made.public_addresses),
        *(f"route add {address}/32 dev s0 {times}" for address in made.public_addresses),
    )
