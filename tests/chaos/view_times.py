# SPDX-License-Identifier: BSD-3-Clause
"""How long a view change takes by the number of leases: one of three instances is killed, under the generator's
traffic, with so many flows that there are so many leases, a mapping's and its reverse's for each. From the end of the
process to the last survivor's resumption, as the event says."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from shoal.model import ClusterStatus
from tests.smoke.mortal import Mortal

INSTANCES = 3
LEASES_A_FLOW = 2
FILLED_S = 90.0
EVENT_S = 60.0
LEAST_ROOM = 65536
CONFIG = """\
network_function:
  name: nat
  settings: {{ public_addresses: 203.0.113.0/24, inside_prefixes: 16.0.0.0/8 }}
ports:
  inside: {{ device: traffic }}
  outside: {{ device: traffic }}
instances: {{ count: {count}, objects: {objects} }}
"""


def _held(status: ClusterStatus) -> int:
    return sum(each.objects_held for each in status.instances)


async def _one_death(deployment: Mortal, leases: int, index: int) -> dict[str, Any]:
    full = await deployment.until(lambda status: _held(status) >= leases, f"{leases} leases", FILLED_S)
    async with deployment.client() as client:
        after = await client.last_event()
    victim = full.instances[index]
    deployment.kill(victim.process)
    completed = await deployment.until_event("view.completed", after, EVENT_S)
    fields = completed.fields
    adopted = sum(int(fields[f"{name}.adopted"]) for name in ("nat.mapping", "nat.reverse"))
    return {"leases": _held(full), "adopted": adopted, "view_ms": float(fields["duration_ms"])}


async def measured(folder: Path, leases: int, rounds: int) -> list[dict[str, Any]]:
    """Of each death; a fresh instance has joined before the next."""
    folder.mkdir()
    flows = leases // LEASES_A_FLOW
    deployment = Mortal(folder, CONFIG.format(count=INSTANCES, objects=max(LEAST_ROOM, flows)))
    pps = str(max(1000, min(100_000, flows)))
    tunables = ("--flows", str(flows), "--pps", pps, "--new-flows", "1", "--clients", "4096")
    found = []
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(deployment.good, "down")
        await deployment.good("up", str(deployment.file))
        await stack.enter_async_context(deployment.sending(tunables))
        for number in range(rounds):
            await deployment.until_whole(INSTANCES)
            found.append(await _one_death(deployment, leases, number % INSTANCES))
    return found
