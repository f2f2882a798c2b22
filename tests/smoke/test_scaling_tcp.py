# SPDX-License-Identifier: BSD-3-Clause
"""TCP of the kernel through a NAT that scales 1 → 2 → 3 → 1: every connection lives on with its public address and
port. With two hundred connections the NAT's devices are AF_PACKET ports, and AF_XDP ports where the kernel has them.

    ┌ client ───────────┐      ┌ nat ─────────────────────────────┐      ┌ server ────┐
    │ 16.0.0.1 … .64    c0 ── inside  splitter ═ rings ═ nat-1   │      │            │
    │                   │      │         │                nat-2   │      │            │
    │                   │      │       outside            nat-3   │      │            │
    │                   │      │         └──────────────────────────── s0    48.0.0.1  │
    └───────────────────┘      └──────────────────────────────────┘      └────────────┘
                                 203.0.113.1 … .4
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.smoke import af_xdp, content, steering
from tests.smoke.deployment import deployed, nat_config
from tests.smoke.network import Network
from tests.smoke.program import program

STEPS = (1, 2, 3, 1)
PORT = 8080
FILE_BYTES = 200 * 10**6
# Slow enough that all events fall into the download, fast enough that it ends.
DOWNLOAD_RATE = 8 * 10**6
EVENTS_AT = (0.15, 0.40, 0.65)


@pytest.mark.timeout(300)
async def test_download_survives_scaling(nat_network: Network, directory: Path) -> None:
    net = nat_network
    serve = (net.server_address, PORT, DOWNLOAD_RATE)
    talk = ("converse", net.server_address, PORT, 64, *net.client_addresses)
    async with (
        deployed(net.nat, nat_config(net), directory) as deployment,
        program(net.server, "tests.smoke.traffic_server", *serve, ready="ready"),
        program(net.client, "tests.smoke.traffic_client", *talk) as talking,
    ):
        assert await talking.until("ready", 60) == 64
        talking.tell("publics")
        publics = await talking.until("publics", 30)
        source = steering.source_that_moves(publics, STEPS)
        download = ("download", net.server_address, PORT, source, FILE_BYTES)
        async with program(net.client, "tests.smoke.traffic_client", *download) as downloading:
            public = await downloading.until("public", 30)
            assert steering.slot_of(public) in steering.moved_at_every_event(STEPS)
            for share, instances in zip(EVENTS_AT, STEPS[1:], strict=True):
                await downloading.until_bytes(int(FILE_BYTES * share), 120)
                await deployment.scale(instances)
                talking.tell("mark")
                assert await talking.until("mark", 60) == 64
            scaled = time.monotonic()
            end = await downloading.message("sha256", 120)
            assert end["sha256"] == content.digest(FILE_BYTES)
            assert end["ended"] > scaled, "the download ended before the last event did"
        talking.no_more()
        for connection in await talking.until("connections", 60):
            assert connection["fault"] == ""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", ["af_packet", "af_xdp"])
async def test_two_hundred_connections_survive_scaling(nat_network: Network, directory: Path, driver: str) -> None:
    if driver == "af_xdp" and (reason := af_xdp.missing()):
        pytest.skip(reason)
    net = nat_network
    serve = (net.server_address, PORT, DOWNLOAD_RATE)
    talk = ("converse", net.server_address, PORT, 200, *net.client_addresses)
    async with (
        deployed(net.nat, nat_config(net, driver=driver), directory) as deployment,
        program(net.server, "tests.smoke.traffic_server", *serve, ready="ready"),
        program(net.client, "tests.smoke.traffic_client", *talk) as talking,
    ):
        assert await talking.until("ready", 60) == 200
        for instances in STEPS[1:]:
            await deployment.scale(instances)
            talking.tell("mark")
            assert await talking.until("mark", 60) == 200
        talking.no_more()
        connections = await talking.until("connections", 60)
        assert [connection for connection in connections if connection["fault"]] == []
        assert len({connection["public"] for connection in connections}) == 200
