# SPDX-License-Identifier: BSD-3-Clause
"""Instances in two namespaces, as if on two hosts: packets come by ring, the state channel is TCP over the link
between.

┌ client ──────────┐    ┌ nat ───────────────────┐    ┌ server ───┐ │ 16.0.0.1 … .64   c0 ─ inside  splitter  outside
─ s0   48.0.0.1 │ └──────────────────┘    └─── rings ║ ─── ║ ──────┘    └───────────┘ ┌ host-a ──╨─┐ ┌─╨ host-b ──┐ │
instances  a0 ── b0  inst. │ └────────────┘ └────────────┘ 10.9.0.1       10.9.0.2
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.deployment import deployed, nat_config
from tests.smoke.network import Namespace, Network, link, namespace
from tests.smoke.program import program

PORT = 8080
ADDRESSES = ("10.9.0.1", "10.9.0.2")
HOSTS = """\
hosts:
  - {{ name: a, address: {addresses[0]}, network_namespace: {names[0]} }}
  - {{ name: b, address: {addresses[1]}, network_namespace: {names[1]} }}
"""


@pytest.fixture
def hosts() -> Iterator[tuple[Namespace, Namespace]]:
    with namespace("host-a") as first, namespace("host-b") as second:
        link(first, "a0", second, "b0")
        first.ip(f"address add {ADDRESSES[0]}/24 dev a0")
        second.ip(f"address add {ADDRESSES[1]}/24 dev b0")
        yield first, second


@pytest.mark.timeout(300)
async def test_connections_survive_scaling_over_tcp_channels(
    nat_network: Network, hosts: tuple[Namespace, Namespace], directory: Path
) -> None:
    net = nat_network
    config = nat_config(net, HOSTS.format(addresses=ADDRESSES, names=[host.name for host in hosts]))
    serve = (net.server_address, PORT, 10**7)
    talk = ("converse", net.server_address, PORT, 64, *net.client_addresses)
    async with (
        deployed(net.nat, config, directory) as deployment,
        program(net.server, "tests.smoke.traffic_server", *serve, ready="ready"),
        program(net.client, "tests.smoke.traffic_client", *talk) as talking,
    ):
        assert await talking.until("ready", 60) == 64
        for instances in (2, 3, 1):
            before = hosts[0].sent_bytes("a0")
            await deployment.scale(instances)
            talking.tell("mark")
            assert await talking.until("mark", 60) == 64
            # Only the state channel uses this link: objects went over it.
            assert hosts[0].sent_bytes("a0") > before
            placed = {instance["host"] for instance in (await deployment.status())["instances"]}
            assert placed == ({"a", "b"} if instances > 1 else {"a"})
        talking.no_more()
        connections = await talking.until("connections", 60)
        assert [connection for connection in connections if connection["fault"]] == []
