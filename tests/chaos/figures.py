# SPDX-License-Identifier: BSD-3-Clause
"""`python -m tests.chaos.figures [CONNECTIONS]`: what the death of one of five instances, of the splitter and of the
controller costs TCP connections of the kernel through the NAT, and how long a view change takes by the number of
leases. Prints one JSON document. Takes two to four minutes.

A connection exchanges a line every half second, so a gap is seen by those whose turn falls into it; TCP repeats what
was lost after 20 ms and more, which is part of the gap."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from shoal.model import ClusterStatus
from tests.chaos.scene import CONFIG, PORT, RETRANSMIT_MS
from tests.chaos.view_times import measured
from tests.smoke.mortal import Mortal
from tests.smoke.network import network, permitted
from tests.smoke.program import Program, program
from tests.smoke.steering import slot_of

INSTANCES = 5
PAUSE_MS = 500
ROUNDS = 3
LEASES = (1_000, 64_000, 1_000_000)
ANSWERED_S = 90.0


class Figures:
    """Kills one after the other in one deployment."""

    def __init__(self, deployment: Mortal, talker: Program) -> None:
        self._deployment = deployment
        self._talker = talker

    async def _answered(self) -> int:
        self._talker.tell("mark")
        return int(await self._talker.until("mark", ANSWERED_S))

    async def _gaps(self) -> dict[str, float]:
        self._talker.tell("gaps")
        return {public: float(gap) for public, gap in await self._talker.until("gaps", 30)}

    async def _rest(self) -> ClusterStatus:
        whole = await self._deployment.until_whole(0)
        await self._answered()
        await self._gaps()
        return whole

    async def instance(self, index: int) -> dict[str, Any]:
        """Gaps until the view change is over and a fresh one has joined."""
        status = await self._rest()
        victim = status.instances[index]
        [(steering,)] = self._deployment.read_store("SELECT steering FROM deployment")
        async with self._deployment.client() as client:
            after = await client.last_event()
        self._deployment.kill(victim.process)
        completed = await self._deployment.until_event("view.completed", after)
        await self._deployment.until_whole(0)
        await self._answered()
        gaps = await self._gaps()
        adopted = [gap for public, gap in gaps.items() if steering[slot_of(public)] == victim.member]
        survivors = [gap for public, gap in gaps.items() if steering[slot_of(public)] != victim.member]
        return {
            "view_ms": float(completed.fields["duration_ms"]),
            "adopted_connections": len(adopted),
            "adopted_max_gap_ms": max(adopted, default=0.0),
            "adopted_median_gap_ms": statistics.median(adopted or [0.0]),
            "survivors_max_gap_ms": max(survivors, default=0.0),
            "survivors_median_gap_ms": statistics.median(survivors or [0.0]),
        }

    async def splitter(self) -> dict[str, Any]:
        status = await self._rest()
        async with self._deployment.client() as client:
            after = await client.last_event()
        self._deployment.kill(status.splitter_process)
        replaced = await self._deployment.until_event("splitter.replaced", after)
        await self._answered()
        gaps = await self._gaps()
        return {"gap_ms": float(replaced.fields["gap_ms"]), "max_gap_ms": max(gaps.values())}

    async def controller(self) -> dict[str, Any]:
        await self._rest()
        await self._deployment.kill_controller()
        await self._answered()
        await self._deployment.good("up", str(self._deployment.file))
        await self._answered()
        return {"max_gap_ms": max((await self._gaps()).values())}

    async def all(self) -> dict[str, Any]:
        instances = [await self.instance(index) for index in range(ROUNDS)]
        splitter, controller = await self.splitter(), await self.controller()
        async with self._deployment.client() as client:
            deaths = await client.deaths()
        objects = {
            what: sum(getattr(each, what) for told in deaths for each in told.classes)
            for what in ("adopted", "rejected", "lost")
        }
        return {"instance": instances, "splitter": splitter, "controller": controller, "objects": objects}


async def measure(folder: Path, connections: int) -> dict[str, Any]:
    with network(retransmit_ms=RETRANSMIT_MS) as net:
        public = ", ".join(net.public_addresses)
        config = CONFIG.format(public=public, inside=net.inside, outside=net.outside, count=INSTANCES)
        deployment = Mortal(folder, config, net.nat.command())
        talk = (net.server_address, PORT, connections, PAUSE_MS, *net.client_addresses)
        try:
            await deployment.good("up", str(deployment.file))
            async with (
                program(net.server, "tests.smoke.traffic_server", net.server_address, PORT, 10**8, ready="ready"),
                program(net.client, "tests.chaos.talker", *talk) as talker,
            ):
                await talker.until("ready", ANSWERED_S)
                load = os.getloadavg()[0]
                found = await Figures(deployment, talker).all()
                talker.no_more()
                ended = await talker.until("connections", ANSWERED_S)
        finally:
            await deployment.good("down")
    lost = sum(bool(each["fault"]) for each in ended)
    machine = {"processors": os.cpu_count(), "load": round(load, 2)}
    return {"connections": len(ended), "connections_lost": lost, **found, "machine": machine}


def main() -> int:
    if not permitted():
        print("needs root, for network namespaces", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="shoal-") as name:
        folder = Path(name)
        found = asyncio.run(measure(folder, int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
        found["view_change"] = [
            each for leases in LEASES for each in asyncio.run(measured(folder / str(leases), leases, ROUNDS))
        ]
    print(json.dumps(found, indent=2))
    return 1 if found["connections_lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
