# SPDX-License-Identifier: BSD-3-Clause
"""A deployment under the generator's traffic, whose processes a test kills, stops and watches."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal.client import Client, connected
from shoal.controller.splitter_client import SplitterClient
from shoal.errors import ShoalError
from shoal.model import ClusterStatus, Event, InstanceState, InstanceStatus, OperationUpdate
from shoal.run_directory import ProcessIdentity, RunDirectory

ROOT = Path(__file__).resolve().parents[2]
SHOAL = str(Path(sys.executable).with_name("shoal"))
PROFILE = ROOT / "trex_profiles" / "nat_churn.py"
TUNABLES = ("--flows", "2000", "--pps", "10000", "--new-flows", "100")
CONFIG = """\
network_function:
  name: nat
  settings: {{ public_addresses: 203.0.113.0/28, inside_prefixes: 16.0.0.0/8 }}
ports:
  inside: {{ device: traffic }}
  outside: {{ device: traffic }}
instances: {{ count: {count}, objects: 65536, packets: 24576, parked: 8192 }}
splitter: {{ packets: 24576, parked: 8192, ring_bytes: {ring_bytes} }}
on_death: {on_death}
"""
WHOLE_S = 60.0
MANY = 6000  # packets, after which flows have gone on


class Mortal:
    """One deployment, and the controller's word on it. `prefix`: a command that runs others where it shall be;
    `environment`: what its processes have beside this one's."""

    def __init__(
        self, folder: Path, config: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self._prefix = tuple(prefix)
        self._environment = environment or {}
        self.directory = RunDirectory(folder / "run")
        self.file = folder / "nat.yaml"
        self.file.write_text(config)
        self._killed: set[int] = set()

    # --- commands

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self._environment, "SHOAL_RUN_DIRECTORY": str(self.directory.path)}

    async def command(self, *words: str, deadline_s: float = 90) -> tuple[int, str, str]:
        """Runs `shoal WORDS`: exit status, standard output and error."""
        process = await asyncio.create_subprocess_exec(
            *(*self._prefix, SHOAL, *words),
            env=self.environment | {"NO_COLOR": "1", "COLUMNS": "160"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(deadline_s):
                output, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"shoal {' '.join(words)}: no end after {deadline_s:.0f} s{self.logs()}") from None
        return process.returncode or 0, output.decode(), errors.decode()

    async def good(self, *words: str, deadline_s: float = 90) -> str:
        status, output, errors = await self.command(*words, deadline_s=deadline_s)
        assert status == 0, f"shoal {' '.join(words)}: status {status}: {output}{errors}{self.logs()}"
        return output

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with connected(self.directory.controller.address) as client:
            yield client

    async def status(self) -> ClusterStatus:
        async with self.client() as client:
            return await client.status()

    async def instance(self, index: int) -> InstanceStatus:
        return (await self.status()).instances[index]

    def logs(self, lines: int = 15) -> str:
        """The ends of all logs, for a failed test's report."""
        found = []
        for path in sorted(self.directory.path.rglob("log")):
            text = "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            found.append(f"\n--- {path.relative_to(self.directory.path)}\n{text}")
        return "".join(found)

    # --- violence

    def kill(self, process: int) -> None:
        self._killed.add(process)
        os.kill(process, signal.SIGKILL)

    def has_killed(self, process: int) -> bool:
        return process in self._killed

    async def kill_controller(self) -> None:
        """And waits for its end."""
        await self.end_controller((await self.status()).process)

    async def end_controller(self, process: int) -> None:
        identity = ProcessIdentity.of(process)
        with contextlib.suppress(ProcessLookupError):
            self.kill(process)
        async with asyncio.timeout(10):
            while identity is not None and identity.lives:
                await asyncio.sleep(0.002)

    # --- watching

    async def until_event(self, kind: str, after: int = 0, deadline_s: float = 30) -> Event:
        """The first event of a kind later than `after`."""
        try:
            async with asyncio.timeout(deadline_s), self.client() as client:
                async for event in client.events(after):
                    if event.kind == kind:
                        return event
        except TimeoutError:
            raise AssertionError(f"no {kind} within {deadline_s:.0f} s{await self.story()}{self.logs()}") from None
        raise AssertionError(f"the events ended without {kind}")

    async def events(self) -> list[Event]:
        async with self.client() as client:
            last = await client.last_event()
            found: list[Event] = []
            if last:
                async for event in client.events():
                    found.append(event)
                    if event.sequence >= last:
                        break
            return found

    async def story(self) -> str:
        """What has happened, for a failed test's report."""
        with contextlib.suppress(ShoalError):
            lines = [
                f"{event.time_ns // 10**6} {event.kind} {event.subject}: {event.text}" for event in await self.events()
            ]
            return "\n" + "\n".join(lines)
        return "\nno controller answers"

    async def until(
        self, true: Callable[[ClusterStatus], bool], what: str, deadline_s: float = WHOLE_S
    ) -> ClusterStatus:
        """Asks for the status until it is as wished."""
        status = None
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    with contextlib.suppress(ShoalError):
                        status = await self.status()
                        if true(status):
                            return status
                    await asyncio.sleep(0.02)
        except TimeoutError:
            story = f"\n{status}{await self.story()}{self.logs()}"
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}{story}") from None

    async def until_whole(self, count: int) -> ClusterStatus:
        """So many instances, all active, with all tokens among them, and nothing under way. 0: as many as wanted."""

        def whole(status: ClusterStatus) -> bool:
            active = [each for each in status.instances if each.state is InstanceState.ACTIVE]
            quiet = status.plan is None and not status.view and not status.plans_waiting
            wanted = count or status.instances_wanted
            complete = len(active) == len(status.instances) == wanted
            return quiet and complete and sum(each.tokens for each in active) == 16384

        return await self.until(whole, f"{count} instances that have all tokens")

    async def mappings(self) -> dict[str, str]:
        """Translation of each key that there is."""
        async with self.client() as client:
            return {str(each.key): str(each.object[0]) async for each in client.state_list("nat.mapping")}

    def read_store(self, statement: str) -> list[Any]:
        """What the controller has persisted. Reads only; nothing where it is busy."""
        try:
            with contextlib.closing(
                sqlite3.connect(f"file:{self.directory.store}?mode=ro", uri=True, timeout=1)
            ) as base:
                return list(base.execute(statement))
        except sqlite3.Error:
            return []

    def watch_store(self, statement: str, found: Callable[[], None], over: Callable[[], bool]) -> None:
        """Calls `found` as soon as the statement finds something, unless it is over before."""
        with contextlib.closing(sqlite3.connect(f"file:{self.directory.store}?mode=ro", uri=True, timeout=1)) as base:
            while not over():
                with contextlib.suppress(sqlite3.Error):
                    if base.execute(statement).fetchone():
                        found()
                        return

    # --- traffic

    async def traffic(self) -> dict[str, Any]:
        """The generator's figures."""
        async with self.client() as client:
            figures: dict[str, Any] = json.loads((await client.traffic()).document)["shoal"]
            return figures

    @contextlib.asynccontextmanager
    async def sending(self, tunables: Sequence[str] = TUNABLES) -> AsyncIterator[None]:
        """Traffic that answers, until left."""
        words = (str(PROFILE), "--respond-every", "5", "--json", "--", *tunables)
        process = await asyncio.create_subprocess_exec(
            *(SHOAL, "traffic", "run", *words),
            env=self.environment,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await self._until_received(1000)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            await process.wait()

    async def _until_received(self, more: int) -> None:
        """Until so many more packets have come back."""
        start: int | None = None
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(ShoalError):
                    received = (await self.traffic())["received"]
                    start = received if start is None else start
                    if received >= start + more:
                        return
                await asyncio.sleep(0.05)

    async def operate(self, begin: Callable[[Client], AsyncIterator[OperationUpdate]]) -> bool:
        """An operation of the controller, without the time that a command takes to start; whether it was acknowledged
        as done."""
        done = False
        with contextlib.suppress(ShoalError):
            async with self.client() as client:
                async for update in begin(client):
                    done = update.done
        return done

    async def packets_come_back(self) -> None:
        """Many, from now on."""
        await self._until_received(MANY)

    async def flows_go_on(self, packets: int = MANY) -> None:
        """Many packets come back from now on, and every mapping that is seen is the one that it was."""
        await self._until_received(packets)
        mappings = (await self.traffic())["mappings"]
        assert mappings["checked"] > 0
        assert mappings["violations"] == 0, f"{mappings}{await self.story()}"

    async def flows_go_on_without_controller(self, packets: int = MANY) -> None:
        """The splitter is asked itself."""
        client = SplitterClient(self.directory.splitter.address, 0)
        try:
            async with asyncio.timeout(30):
                start = await self._received(client)
                while await self._received(client) < start + packets:
                    await asyncio.sleep(0.05)
        finally:
            await client.close()

    @staticmethod
    async def _received(client: SplitterClient) -> int:
        figures = json.loads((await client.traffic()).document)["shoal"]
        assert figures["mappings"]["violations"] == 0
        return int(figures["received"])


@contextlib.asynccontextmanager
async def mortal(
    folder: Path, count: int = 3, on_death: str = "replace", extra: str = "", ring_bytes: int = 4 << 20
) -> AsyncIterator[Mortal]:
    """Up, and down again whatever happens; nothing may be left. `extra`: further lines of the configuration."""
    made = Mortal(folder, CONFIG.format(count=count, on_death=on_death, ring_bytes=ring_bytes) + extra)
    try:
        await made.good("up", str(made.file))
        yield made
    finally:
        await made.good("down")
    assert not made.directory.path.exists()
