# SPDX-License-Identifier: BSD-3-Clause
"""What a chaos run consists of: a deployment between two namespaces, TCP connections of the kernel that talk all the
time, and frames of which both ends keep captures. Everything is gone at the end, whatever happens.

    ┌ client ─────────────┐      ┌ nat ────────────────────────────┐      ┌ server ───────────┐
    │ talker   16.0.0.1 … c0 ── inside  splitter ═ rings ═ nat-1 … │      │                   │
    │ frames   16.1.0.1 … │      │       outside             nat-n ── s0  │ 48.0.0.1 (talker) │
    └─────────────────────┘      └─────────────────────────────────┘      │ 48.0.0.9 (frames) │
                                  203.0.113.1 … .4                        └───────────────────┘

The instances may be on several hosts (tests/smoke/hosts.py has that picture), with links between them.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.smoke.hosts import Hosts, hosts
from tests.smoke.mortal import Mortal
from tests.smoke.network import Network, network
from tests.smoke.program import Program, program

PORT = 8080
PAUSE_MS = 100
RETRANSMIT_MS = 20
FIRST_CLIENT, SERVER = "16.1.0.1", "48.0.0.9"
FRAMES_RATE = 300
FRAMES_MAX = 60_000  # that a capture holds in memory
LEASE_MS = 1500
DEAD_AFTER_MS = 8000  # a host that is cut off
CONFIG = """\
network_function:
  name: nat
  settings: {{ public_addresses: "{public}", inside_prefixes: 16.0.0.0/8 }}
ports:
  inside: {{ device: "net_af_packet0,iface={inside},framecnt=16384" }}
  outside: {{ device: "net_af_packet1,iface={outside},framecnt=16384" }}
instances: {{ count: {count}, objects: 65536, packets: 24576, parked: 8192 }}
splitter: {{ packets: 24576, parked: 8192 }}
"""


@dataclass(frozen=True)
class Scene:
    """All is up, and everybody talks."""

    network: Network
    deployment: Mortal
    talker: Program
    connections: int
    captures: Path
    frames: Program
    frames_server: Program
    hosts: Hosts | None  # None: there is one

    async def all_answered(self, deadline_s: float) -> list[str]:
        """Every connection has had another answer, or has failed, which its end tells. Which of them were slow."""
        self.talker.tell("mark")
        told = await self.talker.message("mark", deadline_s)
        assert not told["silent"], f"neither answered nor failed: {told['silent']}{await self.deployment.story()}"
        return list(told["slow"])

    async def gaps(self) -> dict[str, float]:
        """Of each connection, by its public endpoint: its longest silence in milliseconds since the last call."""
        self.talker.tell("gaps")
        return {public: float(gap) for public, gap in await self.talker.until("gaps", 30)}

    async def renew(self) -> list[dict[str, Any]]:
        """Connections that have failed since the last call. Others take their places."""
        self.talker.tell("renew")
        failed: list[dict[str, Any]] = await self.talker.until("renewed", 30)
        return failed


@contextlib.asynccontextmanager
async def scene(
    folder: Path, count: int, connections: int, seconds: float, seed: int, hosts_count: int
) -> AsyncIterator[Scene]:
    """`seconds`: how long frames are sent."""
    captures = folder / "captures"
    captures.mkdir()
    with (
        network(retransmit_ms=RETRANSMIT_MS) as net,
        hosts(hosts_count) if hosts_count > 1 else contextlib.nullcontext() as several,
    ):
        public = ", ".join(net.public_addresses)
        config = CONFIG.format(public=public, inside=net.inside, outside=net.outside, count=count)
        config += several.config(LEASE_MS, DEAD_AFTER_MS) if several else ""
        deployment = Mortal(folder, config, net.nat.command())
        rate = min(FRAMES_RATE, FRAMES_MAX / seconds)
        frames = ("c0", captures, int(rate * seconds), seed, rate, FIRST_CLIENT, SERVER)
        talk = (net.server_address, PORT, connections, PAUSE_MS, *net.client_addresses)
        try:
            await deployment.good("up", str(deployment.file))
            async with (
                program(net.server, "tests.smoke.traffic_server", net.server_address, PORT, 10**8, ready="ready"),
                program(net.server, "tests.equivalence.server", "s0", captures, SERVER) as frames_server,
                program(net.client, "tests.equivalence.client", *frames) as frames_client,
                program(net.client, "tests.chaos.talker", *talk) as talking,
            ):
                await frames_server.until("ready", 20)
                await frames_client.until("ready", 20)
                yield Scene(net, deployment, talking, connections, captures, frames_client, frames_server, several)
        finally:
            await deployment.good("down")
