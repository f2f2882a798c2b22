# SPDX-License-Identifier: BSD-3-Clause
"""The same packets through one instance, and through a random number that changes all the time: for each flow the
same must come out, up to public addresses and ports. UDP, TCP, pings, ICMP errors.

┌ client ───────┐    ┌ nat ────────────────────────────────┐    ┌ server ───────┐ │ frames        c0 ─ inside
splitter ═ instances  outside ─ s0   answers       │ │ capture       │    └─────────────────────────────────────┘    │
capture │ └───────────────┘                                               └───────────────┘
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from shoal.verify.main import main as verify
from tests.smoke.deployment import deployed, nat_config
from tests.smoke.network import Network, network, permitted
from tests.smoke.program import Program, program

COUNT, SEED, RATE = 24_000, 11, 2_000.0
SCHEDULES = (1, 2)


@pytest.mark.timeout(300)
async def test_many_instances_send_what_one_does(directory: Path) -> None:
    if not permitted():
        pytest.skip("needs root, for network namespaces")
    one = directory / "one"
    with network(clients=1, addressed=False) as net:
        assert await run(net, one, []) == 0
        for seed in SCHEDULES:
            choose = random.Random(seed)
            many = directory / f"many-{seed}"
            events = await run(net, many, [choose.randint(1, 4) for _ in range(50)])
            assert events >= 3
            assert verify(["equivalence", str(one), str(many), "--public", "203.0.113.0/29"]) == 0


async def run(net: Network, folder: Path, schedule: Sequence[int]) -> int:
    """One run, with as many events of the schedule as fall into it; how many did."""
    folder.mkdir()
    events = 0
    sending = ("c0", folder, COUNT, SEED, RATE)
    async with (
        deployed(net.nat, nat_config(net), folder) as deployment,
        program(net.server, "tests.equivalence.server", "s0", folder) as server,
        program(net.client, "tests.equivalence.client", *sending) as client,
    ):
        await server.until("ready", 20)
        await client.until("ready", 20)
        client.tell("go")
        await client.until("sent", 20)
        for instances in schedule:
            if finished(client):
                break
            await deployment.scale(instances)
            events += 1
        if client.latest("done") is None:
            await client.until("done", 120)
        for side in (client, server):
            side.no_more()
            await side.until("written", 60)
    return events


def finished(client: Program) -> bool:
    """Whether the client has told of its 85th percent: events after it would meet no packets."""
    return (client.latest("sent") or 0) > COUNT * 0.85
