# SPDX-License-Identifier: BSD-3-Clause
"""What is done to a deployment on several hosts beside all else: links between them lose everything, or what goes one
way, are reset, and heal, before a host that is cut off is declared dead or afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

from shoal.model import ClusterStatus
from tests.chaos.books import Books
from tests.chaos.scene import Scene
from tests.chaos.violence import Violence
from tests.smoke.hosts import Hosts

CUT_OFF_MAX = 2
EVENT_S = 60.0


class ViolenceBetweenHosts(Violence):
    """Acts on a scene with several hosts."""

    counts = range(4, 7)

    def __init__(
        self, scene: Scene, hosts: Hosts, books: Books, draw: random.Random, say: Callable[[str], None]
    ) -> None:
        super().__init__(scene, books, draw, say)
        self._hosts = hosts
        self._cut_off = 0
        self._acts = (
            *self._acts,
            (4, self.cut_host),
            (4, self.lose_one_way),
            (3, self.reset_connections),
            (3, self.cut_host_while_scaling),
            (3, self.kill_while_cut),
            (2, self.cut_host_until_it_is_dead),
        )

    def _host(self) -> str:
        return self._choose.choice(sorted(self._hosts.namespaces))

    @contextlib.asynccontextmanager
    async def _cut(self, name: str) -> AsyncIterator[None]:
        self.tally.hosts_cut += 1
        self._hosts.cut(name)
        try:
            yield
        finally:
            self._hosts.heal()

    async def cut_host(self) -> None:
        name = self._host()
        self._say(f"cut host {name} off for a while")
        async with self._cut(name):
            await asyncio.sleep(self._seconds(3))

    async def lose_one_way(self) -> None:
        source, target = self._choose.sample(sorted(self._hosts.namespaces), 2)
        self._say(f"lose what {source} sends to {target}")
        self.tally.hosts_cut += 1
        self._hosts.lose(source, target)
        try:
            await asyncio.sleep(self._seconds(3))
        finally:
            self._hosts.heal()

    async def reset_connections(self) -> None:
        name = self._host()
        count = await asyncio.to_thread(self._hosts.reset, name)
        self._say(f"reset {count} connections of host {name}")
        self.tally.hosts_cut += 1

    async def cut_host_while_scaling(self) -> None:
        async def violence(_: ClusterStatus, count: int) -> None:
            name = self._host()
            self._say(f"cut host {name} off while scaling to {count}")
            async with self._cut(name):
                await asyncio.sleep(self._seconds(2))

        await self._while_scaling(violence)

    async def kill_while_cut(self) -> None:
        name, status = self._host(), await self._status()
        dead = self._choose.choice(status.instances)
        self._say(f"cut host {name} off, and kill {dead.name} on {dead.host}")
        async with self._cut(name):
            self._kill_instance(dead)
            await asyncio.sleep(self._seconds(2))

    async def cut_host_until_it_is_dead(self) -> None:
        """Its objects are lost with it; it rejoins as a new life."""
        if self._cut_off == CUT_OFF_MAX:
            return
        self._cut_off += 1
        name = self._host()
        async with self._deployment.client() as client:
            after = await client.last_event()
        self._say(f"cut host {name} off until one of two sides is dead")
        async with self._cut(name):
            fenced = await self._deployment.until_event("instance.fenced", after, EVENT_S)
            self._say(f"{fenced.subject} is fenced")
            await self._deployment.until_event("view.completed", fenced.sequence, EVENT_S)
