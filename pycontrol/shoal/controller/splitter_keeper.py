# SPDX-License-Identifier: BSD-3-Clause
"""Keeps a splitter running. One that ends is replaced by a fresh process, which gets ports, members and the table as
the controller knows it; the instances fetch new packet rings, and flows keep their instances. What was inside the old
one is lost with it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from shoal.controller.config import Config
from shoal.controller.fleet import Fleet, Running
from shoal.controller.launcher import Launcher
from shoal.controller.patience import Patience
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.splitter_process import SplitterProcess
from shoal.controller.store import Store, StoredDeployment
from shoal.errors import DeadlineError, ShoalError, StaleTermError, UnreachableError
from shoal.event_log import EventLog
from shoal.model import InstanceState
from shoal.network_function.description import Description
from shoal.process_host import cancelled, log_unforeseen
from shoal.run_directory import ProcessDirectory
from shoal_dataplane import MEMBER_NONE, STEERING_SLOTS

RETRY_S: Final = 0.05
ATTACH_S: Final = 2.0
REPLACED_S: Final = 30.0  # how long a member's command waits for a fresh splitter
NOWHERE: Final = bytes([MEMBER_NONE]) * STEERING_SLOTS
_WITH_PACKETS: Final = (InstanceState.ACTIVE, InstanceState.LEAVING, InstanceState.JOINING)


class SplitterKeeper:
    """The splitter of one deployment, or none. `table` gives where each steering slot's packets go."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        directory: ProcessDirectory,
        fleet: Fleet,
        events: EventLog,
        table: Callable[[], bytes],
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._directory = directory
        self._fleet = fleet
        self._events = events
        self._table = table
        self._process: SplitterProcess | None = None
        self._client: SplitterClient | None = None
        self._what: tuple[Config, StoredDeployment, Description, Path] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._attaching: set[asyncio.Task[None]] = set()
        self._patience = Patience()
        self.restarts = 0
        self.gap_s = 0.0  # of all restarts

    # --- what there is

    @property
    def client(self) -> SplitterClient | None:
        """None: the deployment has no splitter. The same one over restarts; fails while there is none."""
        return self._client

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.ended

    @property
    def pid(self) -> int:
        """0: it does not run."""
        return self._process.pid if self._process is not None and not self._process.ended else 0

    # --- life

    async def start(
        self, config: Config, deployment: StoredDeployment, description: Description, nf_path: Path
    ) -> None:
        """A new deployment's first one."""
        self._what = (config, deployment, description, nf_path)
        self._process = await self._begin()
        self._client = SplitterClient(self._directory.address, self._store.term)
        self._watching = asyncio.create_task(self._watch(), name="keep splitter")

    async def resume(
        self, config: Config, deployment: StoredDeployment, description: Description, nf_path: Path
    ) -> None:
        """The one that an earlier controller started, or a fresh one. After the instances have been taken up."""
        self._what = (config, deployment, description, nf_path)
        self._client = SplitterClient(self._directory.address, self._store.term)
        self._process = await self._adopt()
        if self._process is None:
            self._client.suspend("the splitter has ended")
        else:
            self._begin_attaching(self._process)
        self._watching = asyncio.create_task(self._watch(), name="keep splitter")

    async def _adopt(self) -> SplitterProcess | None:
        """One that an earlier controller has not finished is finished or, as one that does not answer, ended."""
        process = await SplitterProcess.adopt(self._launcher, self._directory, self._store.term, self._events)
        if process is None:
            self._events.add("splitter.ended", "splitter", "its process ended while the controller was away")
            return None
        try:
            report = await process.wait_reachable()
            if not report.configured:
                raise UnreachableError("the splitter was not configured yet")
            if report.table == NOWHERE:
                await self._furnish(process.client)
        except StaleTermError:
            await process.close()
            raise
        except ShoalError as error:
            self._events.add("splitter.ended", "splitter", f"process {process.pid} is of no use: {error}")
            await process.stop()
            return None
        return process

    async def stop(self) -> None:
        """Ends it; nothing replaces it."""
        await self._release()
        if self._process is not None:
            await self._process.stop()
        self._process = None

    async def close(self) -> None:
        """The controller goes; the splitter stays."""
        await self._release()
        if self._process is not None:
            await self._process.close()

    async def _release(self) -> None:
        await cancelled(self._watching, *self._attaching)
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _begin(self) -> SplitterProcess:
        assert self._what is not None
        process = await SplitterProcess.start(self._launcher, self._directory, self._store.term, self._events)
        try:
            await process.configure(*self._what)
            await self._furnish(process.client)
        except BaseException:
            await process.stop()
            raise
        return process

    # --- its end

    async def _watch(self) -> None:
        while True:
            started = time.monotonic()
            if self._process is not None:
                await self._process.wait()
            ended = time.monotonic()
            assert self._client is not None
            self._client.suspend("the splitter has ended, and a fresh one starts")
            await asyncio.sleep(self._patience.pause_s(ended - started))
            await self._replace(ended)

    async def _replace(self, ended: float) -> None:
        """Tries until a fresh one runs. `ended`: when the last one's end was noticed."""
        assert self._client is not None
        while True:
            if self._process is not None:
                await self._process.close()
            self._process = None
            try:
                process = await self._begin()
            except StaleTermError:
                return  # another controller reigns, and keeps it
            except Exception as error:
                log_unforeseen(error, "splitter")
                self._events.add("splitter.failed", "splitter", f"no fresh one could be started: {error}")
                await asyncio.sleep(self._patience.pause_s(0.0))
                continue
            break
        self._process = process
        await self._client.reopen()
        table_s = time.monotonic() - ended
        await self._attach_all(process)
        gap_s = time.monotonic() - ended
        self.restarts += 1
        self.gap_s += gap_s
        self._events.add(
            "splitter.replaced",
            "splitter",
            f"process {process.pid} forwards since {gap_s * 1000:.0f} ms after the last one's end",
            gap_ms=f"{gap_s * 1000:.1f}",
            table_ms=f"{table_s * 1000:.1f}",
        )

    def _members(self) -> tuple[Running, ...]:
        return self._fleet.in_state(*_WITH_PACKETS)

    async def _furnish(self, client: SplitterClient) -> None:
        """Members and table. A steering slot whose member has died meanwhile gets none: a view change redirects it."""
        there = set()
        for running in self._members():
            await client.attach_member(running.stored.member, running.stored.life)
            there.add(running.stored.member)
        table = self._table()
        gone = bytes(member for member in range(256) if member not in there)
        await client.set_table(table.translate(bytes(255 if each in gone else each for each in range(256))))

    async def _attach_all(self, process: SplitterProcess) -> None:
        """All instances fetch their rings. One that does not answer goes on trying while the others forward."""
        if tasks := self._begin_attaching(process):
            await asyncio.wait(tasks, timeout=ATTACH_S)

    def _begin_attaching(self, process: SplitterProcess) -> list[asyncio.Task[None]]:
        tasks = [
            asyncio.create_task(self._attach_until(running, process), name=f"packets of {running.stored.name}")
            for running in self._members()
        ]
        for task in tasks:
            self._attaching.add(task)
            task.add_done_callback(self._attaching.discard)
        return tasks

    async def _attach_until(self, running: Running, process: SplitterProcess) -> None:
        while not running.ended and not process.ended:
            try:
                await running.client.attach_packets(str(self._directory.peers), process.pid)
                return
            except (UnreachableError, DeadlineError):
                await asyncio.sleep(RETRY_S)
            except ShoalError as error:
                self._events.add("splitter.refused", running.stored.name, f"it takes no packet ring: {error}")
                return

    # --- members

    async def attach(self, running: Running) -> None:
        """A new instance's packet ring; of a fresh splitter where the one that was asked ends meanwhile."""

        async def work(client: SplitterClient) -> None:
            await client.attach_member(running.stored.member, running.stored.life)
            await running.client.attach_packets(str(self._directory.peers), self.pid)

        await self._at_one_that_stays(work, running)

    async def detach(self, running: Running) -> None:
        """Also from a fresh splitter, which takes this instance for one of its members."""
        await self._at_one_that_stays(lambda client: client.detach_member(running.stored.member), None)

    async def _at_one_that_stays(
        self, work: Callable[[SplitterClient], Awaitable[None]], needed: Running | None
    ) -> None:
        """Does it again where the splitter has ended or was replaced meanwhile, for REPLACED_S and while the instance
        `needed` lives."""
        client, give_up = self._client, time.monotonic() + REPLACED_S
        while client is not None:
            process = self._process
            try:
                await work(client)
                if self._process is process:
                    return
            except ShoalError as error:
                away = isinstance(error, UnreachableError | DeadlineError) or self._process is not process
                in_vain = self._client is not client or (needed is not None and needed.ended)
                if not away or in_vain or time.monotonic() >= give_up:
                    raise
            await asyncio.sleep(RETRY_S)
