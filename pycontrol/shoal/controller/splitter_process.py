# SPDX-License-Identifier: BSD-3-Clause
"""The splitter's process: started, configured, watched, ended."""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

from shoal.controller.config import Config, Splitter
from shoal.controller.launcher import Launcher, Process, ProcessSpecification, log_tail
from shoal.controller.splitter_client import SplitterClient
from shoal.controller.store import StoredDeployment
from shoal.errors import DeadlineError, ShoalError, UnreachableError
from shoal.event_log import EventLog
from shoal.model import Port, SplitterReport
from shoal.network_function.description import Description
from shoal.process_host import cancelled
from shoal.run_directory import ProcessDirectory, read_pid_file
from shoal.splitter.plane import PlaneConfig

REACHABLE_DEADLINE_S: Final = 20.0


class SplitterProcess:
    """One splitter. `client` raises where it has ended."""

    def __init__(self, directory: ProcessDirectory, process: Process, term: int, events: EventLog) -> None:
        self._directory = directory
        self._process = process
        self._client = SplitterClient(directory.address, term)
        self._events = events
        self._ending = False
        self._tasks = (
            asyncio.create_task(self._watch(), name="watch splitter"),
            asyncio.create_task(self._forward_events(), name="events of splitter"),
        )

    @classmethod
    async def start(
        cls, launcher: Launcher, directory: ProcessDirectory, term: int, events: EventLog
    ) -> "SplitterProcess":
        process = await launcher.start(ProcessSpecification("shoal.splitter", directory))
        splitter = cls(directory, process, term, events)
        try:
            await splitter.wait_reachable()
        except BaseException:
            await splitter.stop()
            raise
        return splitter

    @classmethod
    async def adopt(
        cls, launcher: Launcher, directory: ProcessDirectory, term: int, events: EventLog
    ) -> "SplitterProcess | None":
        """The one that an earlier controller started, in whatever state it is; None: it has ended."""
        identity = read_pid_file(directory.pid_file)
        process = launcher.adopt(identity) if identity else None
        return cls(directory, process, term, events) if process is not None else None

    async def wait_reachable(self) -> SplitterReport:
        """UnreachableError: it ends, or does not answer in time."""
        reachable = asyncio.create_task(self._client.wait_reachable(REACHABLE_DEADLINE_S), name="reachable")
        ended = asyncio.create_task(self._process.wait(), name="ended")
        try:
            await asyncio.wait((reachable, ended), return_when=asyncio.FIRST_COMPLETED)
            if not reachable.done():
                raise UnreachableError(f"splitter: {ended.result()}; {log_tail(self._directory.log)}")
            return await reachable
        except DeadlineError:
            raise UnreachableError(f"the splitter did not answer; {log_tail(self._directory.log)}") from None
        finally:
            await cancelled(reachable, ended)

    @property
    def pid(self) -> int:
        return self._process.identity.pid

    @property
    def ended(self) -> bool:
        return self._process.ended

    @property
    def client(self) -> SplitterClient:
        return self._client

    async def wait(self) -> None:
        """Waits for its end."""
        await self._process.wait()

    async def configure(
        self, config: Config, deployment: StoredDeployment, description: Description, nf_path: Path
    ) -> None:
        assert isinstance(config.splitter, Splitter)
        settings = config.splitter
        plane = PlaneConfig(
            name="splitter",
            cluster=deployment.cluster,
            nf_path=str(nf_path),
            settings=config.network_function.setting_texts,
            ports=tuple(Port(description.port_number(name), port.device) for name, port in config.ports.items()),
            packets=settings.packets,
            parked=settings.parked,
            fragments=settings.fragments,
            ring_bytes=settings.ring_bytes,
            runner=settings.runner.settings(0),
            eal=settings.eal,
        )
        await self._client.configure(plane, config.metrics.beside(1) if config.metrics else "")

    async def _watch(self) -> None:
        reason = await self._process.wait()
        if not self._ending:
            self._events.add("splitter.ended", "splitter", f"{reason}; {log_tail(self._directory.log)}")

    async def _forward_events(self) -> None:
        with contextlib.suppress(ShoalError):
            async for event in self._client.events():
                self._events.add(event.kind, "splitter", f"{event.subject}: {event.text}", **event.fields)

    async def stop(self) -> None:
        """Ends the process; its directory goes."""
        self._ending = True
        if not self._process.ended:
            with contextlib.suppress(ShoalError):
                await self._client.stop()
            if await self._process.terminate():
                self._events.add("splitter.killed", "splitter", "it did not end as told, and was killed")
        await self.close()
        await asyncio.to_thread(self._directory.remove)

    async def close(self) -> None:
        """The controller goes; the splitter stays."""
        await cancelled(*self._tasks)
        self._process.close()
        await self._client.close()
