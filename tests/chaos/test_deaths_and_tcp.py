# SPDX-License-Identifier: BSD-3-Clause
"""TCP of the kernel through a NAT of which an instance, the splitter or the controller is killed: no connection is
lost, and each keeps its public address and port.

    ┌ client ───────────┐      ┌ nat ─────────────────────────────┐      ┌ server ────┐
    │ 16.0.0.1 … .64    c0 ── inside  splitter ═ rings ═ nat-1 …  │      │            │
    │                   │      │       outside              nat-5 ── s0  │ 48.0.0.1   │
    └───────────────────┘      └──────────────────────────────────┘      └────────────┘
                                203.0.113.1 … .4
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.smoke.deployment import Deployment, deployed, nat_config
from tests.smoke.network import Network
from tests.smoke.program import Program, program

PORT = 8080
CONNECTIONS = 100
INSTANCES = 5
PAUSE_MS = 50
WHOLE_TRIES = 600


def config(net: Network) -> str:
    return nat_config(net).replace("count: 1", f"count: {INSTANCES}, objects: 65536, packets: 24576, parked: 8192")


async def event(deployment: Deployment, kind: str) -> dict[str, Any]:
    """The latest event of a kind, once there is one."""
    for _ in range(WHOLE_TRIES):
        lines = (await deployment.command("events", "--no-follow", "--json")).splitlines()
        found: list[dict[str, Any]] = [each for each in map(json.loads, lines) if each["kind"] == kind]
        if found:
            return found[-1]
    raise AssertionError(f"no {kind}: {deployment.logs()}")


async def until_whole(deployment: Deployment, count: int) -> None:
    for _ in range(WHOLE_TRIES):
        status = await deployment.status()
        states = [each["state"] for each in status["instances"]]
        if states == ["active"] * count and status["plan"] is None and not status["view"]:
            return
    raise AssertionError(f"not whole: {deployment.logs()}")


async def all_live(talking: Program) -> None:
    talking.tell("mark")
    assert await talking.until("mark", 60) == CONNECTIONS


async def none_has_failed(talking: Program) -> None:
    talking.no_more()
    connections = await talking.until("connections", 60)
    assert [connection for connection in connections if connection["fault"]] == []
    assert len({connection["public"] for connection in connections}) == CONNECTIONS


async def kill_instance(deployment: Deployment) -> None:
    os.kill((await deployment.status())["instances"][2]["process"], signal.SIGKILL)
    completed = await event(deployment, "view.completed")
    assert int(completed["fields"]["nat.mapping.adopted"]) > 0
    assert int(completed["fields"]["nat.mapping.lost"]) == 0


async def kill_splitter(deployment: Deployment) -> None:
    before = await deployment.status()
    os.kill(before["splitter_process"], signal.SIGKILL)
    replaced = await event(deployment, "splitter.replaced")
    assert float(replaced["fields"]["gap_ms"]) > 0
    after = await deployment.status()
    # Its table is the controller's: flows keep their instances.
    kept = ("name", "process", "steering_slots")
    assert [[each[what] for what in kept] for each in after["instances"]] == [
        [each[what] for what in kept] for each in before["instances"]
    ]


async def kill_controller(deployment: Deployment) -> None:
    os.kill((await deployment.status())["process"], signal.SIGKILL)


@pytest.mark.timeout(300)
async def test_no_connection_is_lost(nat_network: Network, directory: Path) -> None:
    net = nat_network
    talk = (net.server_address, PORT, CONNECTIONS, PAUSE_MS, *net.client_addresses)
    async with (
        deployed(net.nat, config(net), directory) as deployment,
        program(net.server, "tests.smoke.traffic_server", net.server_address, PORT, 10**8, ready="ready"),
        program(net.client, "tests.chaos.talker", *talk) as talking,
    ):
        assert await talking.until("ready", 60) == CONNECTIONS
        for kill in (kill_instance, kill_splitter, kill_controller):
            await kill(deployment)
            await all_live(talking)
            await deployment.command("up", str(directory / "shoal.yaml"))
            await until_whole(deployment, INSTANCES)
            await all_live(talking)
        await none_has_failed(talking)
