# SPDX-License-Identifier: BSD-3-Clause
"""`python -m tests.chaos --seconds N [--seed S] [--hosts H]`: kills, stops, cuts and scaling at random, under TCP
connections and frames; then everything is judged. Tells of each act on standard error, and prints one line of JSON.
With several hosts (network namespaces) also the links between them are cut, reset, and heal.

Exit status: 0 all is well, 1 something is wrong, 2 it can't run here."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from shoal.model import DeadInstance
from shoal.verify.allocation import Loss
from shoal.verify.report import Fault
from shoal.verify.run import load
from shoal.verify.translation import Rules, Translation
from tests.chaos import books as bookkeeping
from tests.chaos.scene import FRAMES_RATE, Scene, scene
from tests.chaos.violence import Tally, Violence
from tests.chaos.violence_between_hosts import ViolenceBetweenHosts
from tests.smoke.deployment import left_over
from tests.smoke.mortal import Mortal
from tests.smoke.network import permitted

CONNECTIONS = 120
FIRST_COUNT = {1: 3, 2: 4, 3: 6}  # by hosts: more than one on each of several
STILL_S = 0.5
STILL_TRIES = 40
FAULTS_SHOWN = 20
CUT_OFF = "its host was cut off from the others"  # the reason of such a death


class Run:
    """One chaos run, and its verdict."""

    def __init__(self, seconds: float, seed: int, hosts: int) -> None:
        self._seconds = seconds
        self._seed = seed
        self._hosts = hosts
        self._draw = random.Random(seed)
        self._began = time.monotonic()
        self.faults: list[str] = []
        self.result: dict[str, Any] = {}

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:7.2f} {text}", file=sys.stderr, flush=True)

    async def run(self, folder: Path) -> None:
        count = FIRST_COUNT[self._hosts]
        async with scene(folder, count, CONNECTIONS, self._seconds, self._seed, self._hosts) as made:
            accounts = bookkeeping.Books(made.network)
            await made.talker.until("ready", 60)
            made.frames.tell("go")
            violence = self._violence(made, accounts)
            self._began = time.monotonic()
            try:
                while time.monotonic() - self._began < self._seconds:
                    await violence.act()
            except AssertionError as error:
                self.faults.append(str(error))
            await self._judge(made, accounts, violence)
            slabs = violence.slabs
        self._nothing_left(folder, slabs)

    def _violence(self, made: Scene, accounts: bookkeeping.Books) -> Violence:
        if made.hosts is None:
            return Violence(made, accounts, self._draw, self._say)
        return ViolenceBetweenHosts(made, made.hosts, accounts, self._draw, self._say)

    async def _judge(self, made: Scene, accounts: bookkeeping.Books, violence: Violence) -> None:
        self._say("judge")
        deployment, tally = made.deployment, violence.tally
        await made.frames.until("done", 120)
        made.talker.no_more()
        connections = await made.talker.until("connections", 90)
        for side in (made.frames, made.frames_server):
            side.no_more()
            await side.until("written", 60)
        await self._until_still(accounts, deployment)
        account = accounts.account()
        async with deployment.client() as client:
            deaths = await client.deaths()
        self.faults += violence.faults
        lost = {number: each for number, each in enumerate(connections) if each["fault"]}
        self.faults += [f"a connection was lost: {each}" for number, each in lost.items() if number not in tally.lost]
        dead = [each for told in deaths for each in told.instances]
        cut_off = [each for each in dead if each.reason == CUT_OFF]
        self.faults += _untold(dead, cut_off, tally)
        wrong = bookkeeping.faults(
            account,
            splitters_killed=tally.splitters_killed,
            splitters_stopped=tally.splitters_stopped,
            instances_dead=len(dead),
            links_cut=tally.links_cut,
        )
        self.faults += wrong
        objects = {
            what: sum(getattr(each, what) for told in deaths for each in told.classes)
            for what in ("adopted", "rejected", "lost")
        }
        # While a link's other end is down the kernel takes frames and counts them nowhere.
        uncounted = int(tally.links_cut_s * 2 * FRAMES_RATE)
        self.faults += self._verified(made.captures, account.lost + uncounted, tuple(tally.losses))
        [(plans,)] = deployment.read_store("SELECT value FROM counters WHERE name = 'plan'")
        self.result = {
            "kills": tally.kills,
            "stops": tally.stops,
            "cuts": tally.cuts,
            "plans": plans,
            "connections": len(connections),
            "connections_lost": len(lost),
            "survivors_max_gap_ms": tally.survivors_max_gap_ms,
            "adopted_max_gap_ms": tally.adopted_max_gap_ms,
            "objects_adopted": objects["adopted"],
            "objects_rejected": objects["rejected"],
            "objects_lost": objects["lost"],
            "books_balance": not wrong,
            "splitter_max_gap_ms": tally.splitter_max_gap_ms,
            "packets": asdict(account) | {"lost": account.lost},
            "seconds": self._seconds,
            "seed": self._seed,
            "hosts": self._hosts,
            "cut_off": len(cut_off),
        }

    async def _until_still(self, accounts: bookkeeping.Books, deployment: Mortal) -> None:
        """Reads all books, with no packet under way before, meanwhile or after: an end of a connection that was lost
        repeats what it had sent, at longer and longer intervals."""
        instances = (await deployment.status()).instances
        before = accounts.still()
        for _ in range(STILL_TRIES):
            await asyncio.sleep(STILL_S)
            if accounts.still() == before:
                await accounts.read(deployment.directory.splitter, instances)
            now = accounts.still()
            if now == before:
                return
            before = now
        self.faults.append("packets are under way after all have stopped sending")

    def _verified(self, captures: Path, most_lost: int, losses: tuple[Loss, ...]) -> list[str]:
        """What the checker finds in the frames' captures. No mapping may be another but those that were lost with their
        hosts."""
        public = frozenset(int(IPv4Address("203.0.113.0")) + offset for offset in range(8))
        rules = Rules(public=public, loss_allowed=most_lost, losses=losses)
        report = Translation(load(captures, public), rules).check().report
        if not report.checked.get("packets_to_inside"):
            return ["the checker saw no packets that came back"]
        if report.good:
            return []
        found = [f"{each.fault.value}: {each.text}" for each in report.findings if each.fault is not Fault.LOST]
        return found[:FAULTS_SHOWN] or [
            f"the checker misses {report.counts[Fault.LOST]} packets, of {most_lost} at most"
        ]

    def _nothing_left(self, folder: Path, slabs: set[Path]) -> None:
        self.faults += [f"a process is left: {command}" for command in left_over(folder)]
        self.faults += [f"a slab is left: {path}" for path in slabs if path.exists()]


def _untold(dead: Sequence[DeadInstance], cut_off: Sequence[DeadInstance], tally: Tally) -> list[str]:
    """What is wrong with the deaths that were told: each life that was killed is told once, and no other but those that
    were cut off. One that had left by a completed plan when it was killed held nothing any more."""
    found = []
    told = [each.life for each in dead]
    others = {each.life: each.name for each in dead if each.life not in tally.killed and each not in cut_off}
    if others:
        found.append(f"deaths are told of instances that nobody killed, by life: {others}")
    if len(set(told)) != len(told):
        found.append(f"deaths are told twice: lives {sorted(told)}")
    if missed := tally.killed - tally.left - set(told):
        found.append(
            f"instances were killed, and their deaths not told: lives {sorted(missed)} of {sorted(tally.killed)}"
        )
    if cut_off and not tally.hosts_cut:
        found.append(f"nobody was cut off, and it is said of {[each.name for each in cut_off]}")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--hosts", type=int, choices=FIRST_COUNT, default=1)
    return parser.parse_args()


async def _run(run: Run, folder: Path) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await run.run(folder)


def main() -> int:
    options = _options()
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "big")
    if not permitted():
        print("needs root, for network namespaces", file=sys.stderr)
        return 2
    print(f"SEED={seed} SECONDS={options.seconds:g} HOSTS={options.hosts}", file=sys.stderr, flush=True)
    run = Run(options.seconds, seed, options.hosts)
    with tempfile.TemporaryDirectory(prefix="shoal-") as folder:
        asyncio.run(_run(run, Path(folder)))
    for fault in run.faults:
        print(f"WRONG: {fault}", file=sys.stderr)
    print(json.dumps(run.result), flush=True)
    return 1 if run.faults else 0


if __name__ == "__main__":
    sys.exit(main())
