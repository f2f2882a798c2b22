# SPDX-License-Identifier: BSD-3-Clause
"""Hosts of one test: namespaces that reach each other by way of another one, the wire, which can lose what it is told
to lose. Nothing notices that: no carrier goes, no error comes, as with a broken router.

┌ host-a ───┐    ┌ wire ──────────┐    ┌ host-b ───┐ │ 10.9.1.1  a0 ── wa  forwards  wb ── b0  10.9.2.1 │ └───────────┘
└────── wc ──────┘    └───────────┘ │ ┌ host-c: 10.9.3.1
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.smoke.network import Namespace, NetworkError, link, namespace

NAMES = "abcdef"


@dataclass(frozen=True)
class Hosts:
    """`names` in order; the wire loses for each ordered pair in `lost`."""

    wire: Namespace
    namespaces: dict[str, Namespace]
    lost: set[tuple[str, str]] = field(default_factory=set)

    def address(self, name: str) -> str:
        return f"10.9.{NAMES.index(name) + 1}.1"

    def config(self, lease_ms: int, dead_after_ms: int) -> str:
        """The part of a configuration file that names them."""
        lines = [
            f"  - {{ name: {name}, address: {self.address(name)}, network_namespace: {where.name} }}"
            for name, where in self.namespaces.items()
        ]
        times = f"between_hosts: {{ lease_ms: {lease_ms}, dead_after_ms: {dead_after_ms} }}"
        return "\n".join(["hosts:", *lines, times, ""])

    # --- violence

    def lose(self, source: str, target: str) -> None:
        """What one sends to the other is lost from now on."""
        if (source, target) not in self.lost:
            self._rule("add", source, target)
            self.lost.add((source, target))

    def cut(self, name: str) -> None:
        """Nothing goes to or from a host."""
        for other in self.namespaces:
            if other != name:
                self.lose(name, other)
                self.lose(other, name)

    def heal(self) -> None:
        for source, target in tuple(self.lost):
            self._rule("delete", source, target)
            self.lost.discard((source, target))

    def _rule(self, what: str, source: str, target: str) -> None:
        self.wire.ip(f"rule {what} from {self.address(source)} to {self.address(target)} blackhole")

    def reset(self, name: str) -> int:
        """Every TCP connection of a host ends at once with a reset; how many there were."""
        command = self.namespaces[name].command("ss", "-HK", "-t", "state", "established")
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return len(answer.stdout.splitlines())


@contextlib.contextmanager
def hosts(count: int) -> Iterator[Hosts]:
    """So many hosts; gone at the end, whatever happens."""
    with contextlib.ExitStack() as stack:
        wire = stack.enter_context(namespace("wire"))
        made = Hosts(wire, {})
        for index, name in enumerate(NAMES[:count], start=1):
            where = stack.enter_context(namespace(f"host-{name}"))
            link(where, f"{name}0", wire, f"w{name}")
            where.ip(f"address add 10.9.{index}.1/24 dev {name}0", f"route add default via 10.9.{index}.254")
            wire.ip(f"address add 10.9.{index}.254/24 dev w{name}")
            made.namespaces[name] = where
        _forward(wire)
        yield made


def _forward(wire: Namespace) -> None:
    command = wire.command("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if answer.returncode:
        raise NetworkError(f"the wire does not forward: {answer.stderr.strip()}")
