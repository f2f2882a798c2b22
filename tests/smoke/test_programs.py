# SPDX-License-Identifier: BSD-3-Clause
"""The smoke tests' own client and server, without a NAT: joined by a wire, they must find nothing wrong; and what a NAT
must not do, they must find.

    ┌ client ─────────┐          ┌ server ────┐
    │ 16.0.0.1 … .4   c0 ────── s0   48.0.0.1 │
    └─────────────────┘          └────────────┘
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.smoke import content, network
from tests.smoke.program import program

SERVER, PORT = "48.0.0.1", 8080
CLIENTS = network.addresses("16.0.0.1", 4)
LENGTH = 3_000_001


@pytest.fixture
def wire() -> Iterator[tuple[network.Namespace, network.Namespace]]:
    if not network.permitted():
        pytest.skip("needs root, for network namespaces")
    with network.namespace("client") as client, network.namespace("server") as server:
        network.link(client, "c0", server, "s0")
        client.ip(*(f"address add {address}/8 dev c0" for address in CLIENTS), f"route add {SERVER}/32 dev c0")
        server.ip(f"address add {SERVER}/8 dev s0", "route add 16.0.0.0/8 dev s0")
        yield client, server


async def test_download_arrives_whole(wire: tuple[network.Namespace, network.Namespace]) -> None:
    client, server = wire
    download = ("download", SERVER, PORT, CLIENTS[2], LENGTH)
    async with (
        program(server, "tests.smoke.traffic_server", SERVER, PORT, 10**8, ready="ready"),
        program(client, "tests.smoke.traffic_client", *download) as downloading,
    ):
        assert (await downloading.until("public", 20)).startswith(f"{CLIENTS[2]}:")
        await downloading.until_bytes(LENGTH // 2, 20)
        assert await downloading.until("sha256", 20) == content.digest(LENGTH)


async def test_conversations_go_on_and_see_their_end(wire: tuple[network.Namespace, network.Namespace]) -> None:
    client, server = wire
    talk = ("converse", SERVER, PORT, 20, *CLIENTS)
    async with (
        program(server, "tests.smoke.traffic_server", SERVER, PORT, 10**8, ready="ready") as serving,
        program(client, "tests.smoke.traffic_client", *talk) as talking,
    ):
        assert await talking.until("ready", 30) == 20
        talking.tell("mark")
        assert await talking.until("mark", 30) == 20
        # The server ends, and all connections with it: every one must be missed.
        serving.no_more()
        talking.tell("mark")
        assert await talking.until("mark", 60) == 0
        talking.no_more()
        connections = await talking.until("connections", 30)
        assert len(connections) == 20
        assert all(connection["fault"] and connection["answers"] >= 2 for connection in connections)


def test_blocks_differ() -> None:
    first, second, last = content.blocks(2 * content.BLOCK_BYTES + 5)
    assert first != second
    assert len(last) == 5
