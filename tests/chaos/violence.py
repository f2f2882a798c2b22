# SPDX-License-Identifier: BSD-3-Clause
"""What is done to a deployment, one act after the other, drawn from a seed. After each act the deployment is whole
again and every connection has had an answer: what does not come to that is a fault."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from shoal import slabs
from shoal.client import Client
from shoal.model import ClusterStatus, InstanceStatus
from shoal.verify.allocation import Loss
from tests.chaos.books import Books, waiting
from tests.chaos.scene import Scene
from tests.smoke.steering import slot_of

COUNTS = range(1, 6)  # of instances
ANSWERED_S = 60.0
SLOW_S = 5.0  # nobody's limit: from then on it is told what waits
ALL_SLOTS = frozenset(range(256))
Act = Callable[[], Awaitable[None]]


@dataclass
class Tally:
    """What was done, and what was measured."""

    kills: int = 0
    stops: int = 0
    links_cut: int = 0  # of the NAT
    links_cut_s: float = 0.0
    hosts_cut: int = 0  # from one another, in one direction or both, or all their connections reset
    killed: set[int] = field(default_factory=set)  # lives of instances
    left: set[int] = field(default_factory=set)  # those of them that a plan took out: whose end may be no death
    splitters_killed: int = 0
    splitters_stopped: int = 0
    survivors_max_gap_ms: float = 0.0
    adopted_max_gap_ms: float = 0.0
    splitter_max_gap_ms: float = 0.0
    losses: list[Loss] = field(default_factory=list)  # of objects, with whoever had them
    lost: set[int] = field(default_factory=set)  # connections that went with them

    @property
    def cuts(self) -> int:
        return self.links_cut + self.hosts_cut


class Violence:
    """Acts on a scene, drawn from `draw`: the order of acts, and what each of them chooses, does not depend on how the
    others went. `say` is told of each."""

    counts = COUNTS

    def __init__(self, scene: Scene, books: Books, draw: random.Random, say: Callable[[str], None]) -> None:
        self._scene = scene
        self._deployment = scene.deployment
        self._books = books
        self._draw = draw
        self._choose = draw
        self._say = say
        self.tally = Tally()
        self.faults: list[str] = []
        self.slabs: set[Path] = set()  # of all instances that were seen
        self._view = 0  # the latest whose deaths were looked at
        self._scaled = False  # in this act
        self._controllers = 0  # killed so far
        self._promised: tuple[int, ...] = ()  # how many instances may be wanted after this act; empty: as before
        self._acts: tuple[tuple[int, Act], ...] = (
            (3, self.kill_instance),
            (1, self.kill_two),
            (2, self.kill_splitter),
            (1, self.kill_controller),
            (1, self.kill_splitter_again),
            (1, self.kill_splitter_in_plan),
            (1, self.kill_splitter_and_instance),
            (2, self.kill_instance_in_plan),
            (2, self.kill_controller_in_plan),
            (1, self.kill_beside_stopped),
            (1, self.kill_while_controller_is_away),
            (2, self.stop_instance),
            (1, self.stutter_instance),
            (1, self.stop_splitter),
            (1, self.stop_controller),
            (2, self.cut_link),
            (3, self.scale),
        )

    async def act(self) -> None:
        """The next act, and what must be true after it."""
        weights = [weight for weight, _ in self._acts]
        [(_, chosen)] = self._draw.choices(self._acts, weights)
        self._choose = random.Random(self._draw.getrandbits(64))
        await self._at_rest()
        await self._scene.gaps()
        began_ns, slots, self._scaled = time.monotonic_ns(), self._slots(), False
        self._promised = ((await self._deployment.status()).instances_wanted,)
        await chosen()
        await self._at_rest()
        wanted = (await self._deployment.status()).instances_wanted
        if wanted not in self._promised:
            self.faults.append(f"{wanted} instances are wanted: of a scaling was said {self._promised}")
        await self._mourn(began_ns, slots)

    async def _mourn(self, began_ns: int, slots: bytes) -> None:
        """With an instance whose objects nobody could adopt, the connections of its steering slots may be lost, those
        of whose objects it is told (it had adopted them, and their slots are another's by now), and no others. Where
        slots moved meanwhile, nobody knows which were its."""
        async with self._deployment.client() as client:
            told = [each for each in await client.deaths() if each.view > self._view]
            had = {slot for each in told for slot in await _slots_lost(client, each.view)}
        self._view = max([self._view, *(each.view for each in told)])
        members = {dead.member for each in told for dead in each.instances if not dead.adopter}
        lost = (
            frozenset(slot for slot in ALL_SLOTS if self._scaled or slot in had or slots[slot] in members)
            if members
            else frozenset()
        )
        if members:
            self.tally.losses.append(Loss(began_ns, time.monotonic_ns(), lost))
            others = sorted(slot for slot in had if slots[slot] not in members)
            self._say(f"lost with their host: what members {members} had; of others' slots: {others}")
        for each in await self._scene.renew():
            self.tally.lost.add(each["number"])
            if not each["public"] or slot_of(each["public"]) not in lost:
                self.faults.append(f"a connection was lost: {each}")

    async def _at_rest(self) -> None:
        status = await self._deployment.until_whole(0)
        answering = asyncio.create_task(self._scene.all_answered(ANSWERED_S))
        try:
            if not (await asyncio.wait((answering,), timeout=SLOW_S))[0]:
                self._say(f"some wait for {SLOW_S:g} s: {await waiting(status.instances)}")
            if slow := await answering:
                self._say(f"these did: {slow}, of steering slots {[slot_of(each) for each in slow if ':' in each]}")
        finally:
            answering.cancel()

    # --- tools

    async def _status(self) -> ClusterStatus:
        status = await self._deployment.status()
        await self._books.read(self._deployment.directory.splitter, status.instances)
        noted = (slabs.noted(Path(each.run_directory)) for each in status.instances)
        self.slabs |= {directory for directory in noted if directory is not None}
        return status

    def _kill(self, process: int) -> None:
        self._deployment.kill(process)
        self.tally.kills += 1

    def _kill_instance(self, instance: InstanceStatus) -> None:
        self._kill(instance.process)
        self.tally.killed.add(instance.life)

    def _seconds(self, most: float) -> float:
        return self._choose.uniform(most / 20, most)

    def _slots(self) -> bytes:
        """Which member each steering slot's packets go to, with no plan at work."""
        [(steering,)] = self._deployment.read_store("SELECT steering FROM deployment")
        return bytes(steering)

    async def _up(self) -> None:
        await self._deployment.good("up", str(self._deployment.file))

    @contextlib.asynccontextmanager
    async def _stopped(self, process: int) -> AsyncIterator[None]:
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    async def _other_count(self) -> int:
        now = (await self._deployment.status()).instances_wanted
        return self._choose.choice([count for count in self.counts if count != now])

    # --- kills

    async def _kill_some(self, most: int) -> None:
        status = await self._status()
        dead = self._choose.sample(status.instances, min(most, len(status.instances)))
        slots, members = self._slots(), {each.member for each in dead}
        self._say(f"kill {', '.join(each.name for each in dead)} of {len(status.instances)}")
        for each in dead:
            self._kill_instance(each)
        await self._at_rest()
        tally = self.tally
        for public, gap in (await self._scene.gaps()).items():
            if slots[slot_of(public)] in members:
                tally.adopted_max_gap_ms = max(tally.adopted_max_gap_ms, gap)
            else:
                tally.survivors_max_gap_ms = max(tally.survivors_max_gap_ms, gap)

    async def kill_instance(self) -> None:
        await self._kill_some(1)

    async def kill_two(self) -> None:
        await self._kill_some(2)

    async def _kill_the_splitter(self, process: int) -> None:
        await self._books.read_splitter(self._deployment.directory.splitter)
        self._kill(process)
        self.tally.splitters_killed += 1

    async def _until_another_splitter(self, process: int) -> int:
        status = await self._deployment.until(
            lambda status: bool(status.splitter_process) and status.splitter_process != process, "another splitter"
        )
        return status.splitter_process

    async def kill_splitter(self) -> None:
        self._say("kill the splitter")
        process = (await self._status()).splitter_process
        await self._kill_the_splitter(process)
        await self._until_another_splitter(process)
        await self._at_rest()
        gaps = await self._scene.gaps()
        self.tally.splitter_max_gap_ms = max(self.tally.splitter_max_gap_ms, *gaps.values())

    async def kill_splitter_again(self) -> None:
        """The next one as soon as it runs."""
        self._say("kill the splitter, and the next one")
        process = (await self._status()).splitter_process
        await self._kill_the_splitter(process)
        await self._kill_the_splitter(await self._until_another_splitter(process))
        await self._at_rest()

    async def kill_splitter_in_plan(self) -> None:
        async def violence(status: ClusterStatus, count: int) -> None:
            self._say(f"kill the splitter while scaling to {count}")
            await self._kill_the_splitter(status.splitter_process)

        await self._while_scaling(violence)

    async def kill_splitter_and_instance(self) -> None:
        status = await self._status()
        dead = self._choose.choice(status.instances)
        self._say(f"kill the splitter and {dead.name}")
        await self._kill_the_splitter(status.splitter_process)
        self._kill_instance(dead)

    async def _kill_the_controller(self, process: int) -> None:
        await self._deployment.end_controller(process)
        self.tally.kills += 1
        self._controllers += 1

    async def kill_controller(self) -> None:
        self._say("kill the controller")
        await self._kill_the_controller((await self._status()).process)
        await self._scene.all_answered(ANSWERED_S)
        await self._up()

    async def _while_scaling(self, violence: Callable[[ClusterStatus, int], Awaitable[None]]) -> None:
        """`violence` is told what there was before, and how many there shall be. One that fails says so, and as many
        are wanted as before; where its controller was killed, the next one knows what it had begun."""
        self._scaled = True
        count, status, controllers = await self._other_count(), await self._status(), self._controllers
        scaling = asyncio.create_task(self._deployment.command("scale", "nat", str(count)))
        await asyncio.sleep(self._choose.uniform(0.2, 1.2))
        await violence(status, count)
        failed, _, errors = await scaling
        if not failed:
            self._promised = (count,)
            return
        self._say(f"scaling has failed: {errors.strip()}")
        if self._controllers != controllers:
            self._promised = (*self._promised, count)

    async def kill_instance_in_plan(self) -> None:
        async def violence(status: ClusterStatus, count: int) -> None:
            victim = self._choose.choice(status.instances)
            self._say(f"kill {victim.name} of {len(status.instances)} while scaling to {count}")
            if victim in status.instances[count:]:
                self.tally.left.add(victim.life)
            with contextlib.suppress(ProcessLookupError):  # it has left
                self._kill_instance(victim)

        await self._while_scaling(violence)

    async def kill_controller_in_plan(self) -> None:
        async def violence(status: ClusterStatus, count: int) -> None:
            self._say(f"kill the controller while scaling to {count}")
            await self._kill_the_controller(status.process)

        await self._while_scaling(violence)
        await self._up()

    async def kill_beside_stopped(self) -> None:
        status = await self._status()
        if len(status.instances) < 3:
            return
        dead, stopped = self._choose.sample(status.instances, 2)
        self._say(f"kill {dead.name} while {stopped.name} stands still")
        self.tally.stops += 1
        async with self._stopped(stopped.process):
            self._kill_instance(dead)
            await asyncio.sleep(self._seconds(2))

    async def kill_while_controller_is_away(self) -> None:
        status = await self._status()
        dead = self._choose.choice(status.instances)
        self._say(f"kill the controller, then {dead.name}")
        await self._kill_the_controller(status.process)
        self._kill_instance(dead)
        await self._up()

    # --- stops

    async def stop_instance(self) -> None:
        stopped = self._choose.choice((await self._status()).instances)
        self._say(f"stop {stopped.name}")
        self.tally.stops += 1
        async with self._stopped(stopped.process):
            await asyncio.sleep(self._seconds(3))

    async def stutter_instance(self) -> None:
        """It stands still most of the time, as one whose host swaps."""
        slow = self._choose.choice((await self._status()).instances)
        self._say(f"{slow.name} stutters")
        until = time.monotonic() + self._seconds(3)
        self.tally.stops += 1
        while time.monotonic() < until:
            async with self._stopped(slow.process):
                await asyncio.sleep(self._choose.uniform(0.02, 0.3))
            await asyncio.sleep(0.01)

    async def stop_splitter(self) -> None:
        self._say("stop the splitter")
        self.tally.splitters_stopped += 1
        self.tally.stops += 1
        async with self._stopped((await self._status()).splitter_process):
            await asyncio.sleep(self._seconds(1.5))

    async def stop_controller(self) -> None:
        self._say("stop the controller")
        self.tally.stops += 1
        async with self._stopped((await self._status()).process):
            await asyncio.sleep(self._seconds(2))

    # --- the rest

    async def cut_link(self) -> None:
        net = self._scene.network
        link = self._choose.choice((net.inside, net.outside))
        self._say(f"cut the link {link}")
        self.tally.links_cut += 1
        began = time.monotonic()
        net.nat.ip(f"link set {link} down")
        try:
            await asyncio.sleep(self._seconds(1.5))
        finally:
            net.nat.ip(f"link set {link} up")
            self.tally.links_cut_s += time.monotonic() - began

    async def scale(self) -> None:
        self._scaled = True
        count = await self._other_count()
        self._say(f"scale to {count}")
        await self._deployment.good("scale", "nat", str(count))
        self._promised = (count,)


async def _slots_lost(client: Client, view: int) -> set[int]:
    """Steering slots of the public ports that are told to be lost in that view change."""
    return {
        field.value % len(ALL_SLOTS)
        async for lost in client.death_keys(view, "lost")
        for field in lost.key
        if (lost.class_name, field.name) == ("nat.reverse", "port") and isinstance(field.value, int)
    }
