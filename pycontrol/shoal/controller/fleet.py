# SPDX-License-Identifier: BSD-3-Clause
"""The instances' processes: started, configured, watched, ended."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from shoal import slabs
from shoal.agent.worker import WorkerConfig
from shoal.controller.config import Config, Host
from shoal.controller.instance_client import InstanceClient
from shoal.controller.launcher import Launcher, Process, ProcessSpecification, log_tail
from shoal.controller.planner import free_numbers
from shoal.controller.store import Store, StoredDeployment, StoredInstance
from shoal.errors import DeadlineError, NotFoundError, ShoalError, UnreachableError
from shoal.event_log import EventLog
from shoal.model import FenceProgress, FenceState, InstanceState, Peer, Port, Progress
from shoal.process_host import cancelled
from shoal.run_directory import ProcessDirectory, ProcessIdentity, RunDirectory, read_pid_file

REACHABLE_DEADLINE_S: Final = 20.0
REFRESH_DEADLINE_S: Final = 1.0
HERE: Final = ""  # the host's name where the configuration names none


@dataclass(slots=True)
class Running:
    """One instance as the controller knows it."""

    stored: StoredInstance
    directory: ProcessDirectory
    client: InstanceClient
    process: Process | None
    progress: Progress | None = None
    tasks: tuple[asyncio.Task[None], ...] = ()
    ending: bool = False  # its end is our own doing
    stalled: bool = False  # lives, but does not answer
    configured: bool = False
    fenced: bool = False  # was declared dead while its process lived, cut off from the others
    fence: FenceProgress | None = None  # as heard in the last round; None: it did not answer
    fence_state: FenceState = FenceState.OPEN  # as last heard
    clock_ns: int = 0  # its worker's time, as last heard
    class_objects: tuple[int, ...] = ()  # by class, as last heard
    reason: str = ""  # why it has ended
    ended_ns: int = 0  # when that was noticed, since the Unix epoch

    @property
    def ended(self) -> bool:
        """It works no more, and never will."""
        return self.fenced or not self.process_lives

    @property
    def objects(self) -> int:
        return sum(self.class_objects)

    @property
    def process_lives(self) -> bool:
        return self.process is not None and not self.process.ended

    @property
    def doomed(self) -> bool:
        """Is to be declared dead."""
        return self.stored.state is InstanceState.FENCED and not self.ended


class Fleet:
    """All instances of the deployment, by name. `has_ended` is told of each that died."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        run_directory: RunDirectory,
        events: EventLog,
        has_ended: Callable[[Running], None],
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._run_directory = run_directory
        self._events = events
        self._has_ended = has_ended
        self._instances: dict[str, Running] = {}
        self._reserved: frozenset[int] = frozenset()

    @property
    def instances(self) -> tuple[Running, ...]:
        return tuple(sorted(self._instances.values(), key=lambda running: running.stored.member))

    def get(self, name: str) -> Running:
        if name not in self._instances:
            raise NotFoundError(f"there is no instance {name!r}: {', '.join(sorted(self._instances)) or 'none runs'}")
        return self._instances[name]

    def in_state(self, *states: InstanceState) -> tuple[Running, ...]:
        """Those that live."""
        return tuple(running for running in self.instances if running.stored.state in states and not running.ended)

    @property
    def ended(self) -> tuple[Running, ...]:
        return tuple(running for running in self.instances if running.ended)

    @property
    def numbers(self) -> frozenset[int]:
        return self._reserved | {running.stored.member for running in self._instances.values()}

    @contextlib.contextmanager
    def reserved(self, count: int) -> Iterator[Sequence[int]]:
        """Numbers for instances that are about to start. InvalidRequestError: there are not so many."""
        numbers = free_numbers(self.numbers, count)
        self._reserved |= frozenset(numbers)
        try:
            yield numbers
        finally:
            self._reserved -= frozenset(numbers)

    async def start(self, config: Config, deployment: StoredDeployment, member: int, nf_path: Path) -> Running:
        """Starts and configures an instance; it is no member of the space yet. What was started is ended on failure."""
        life = self._store.draw("life")
        host = self._host_for(config, member)
        stored = StoredInstance(
            f"{config.deployment}-{member + 1}", member, life, host.name if host else HERE, InstanceState.STARTING
        )
        directory = self._run_directory.instance(stored.name)
        self._store.put_instance(stored)
        namespace = host.network_namespace if host else None
        try:
            process = await self._launcher.start(ProcessSpecification("shoal.agent", directory, namespace))
        except BaseException:
            directory.remove()
            self._store.remove_instance(stored.name)
            raise
        stored = replace(stored, pid=process.identity.pid, start_ticks=process.identity.start_ticks)
        self._store.put_instance(stored)
        running = self._watch(stored, directory, process)
        try:
            await self._until_reachable(running)
            report = await running.client.configure(
                worker_config(config, deployment, stored, nf_path), metrics_address(config, member)
            )
            running.configured = True
            running.stored = replace(running.stored, slab_directory=report.slab_directory)
            self._store.put_instance(running.stored)
        except BaseException:
            await self.stop(running)
            raise
        self._events.add("instance.started", stored.name, f"process {stored.pid}, member {member}, life {life}")
        return running

    def _host_for(self, config: Config, member: int) -> Host | None:
        """In turn; one that is cut off only where there is no other."""
        if not config.hosts:
            return None
        cut_off = {running.stored.host for running in self.instances if running.fenced or running.doomed}
        first = member % len(config.hosts)
        in_turn = (*config.hosts[first:], *config.hosts[:first])
        return next((host for host in in_turn if host.name not in cut_off), in_turn[0])

    def _watch(self, stored: StoredInstance, directory: ProcessDirectory, process: Process | None) -> Running:
        client = InstanceClient(stored.name, directory.address, self._store.term)
        running = Running(stored, directory, client, process)
        self._instances[stored.name] = running
        if process is not None:
            running.tasks = (
                asyncio.create_task(self._watch_process(running, process), name=f"watch {stored.name}"),
                asyncio.create_task(self._forward_events(running), name=f"events of {stored.name}"),
            )
        return running

    async def _until_reachable(self, running: Running) -> None:
        process = running.process
        assert process is not None
        reachable = asyncio.create_task(running.client.wait_reachable(REACHABLE_DEADLINE_S), name="reachable")
        ended = asyncio.create_task(process.wait(), name="ended")
        try:
            await asyncio.wait((reachable, ended), return_when=asyncio.FIRST_COMPLETED)
            if not reachable.done():
                raise UnreachableError(f"{running.stored.name}: {ended.result()}; {log_tail(running.directory.log)}")
            await reachable
        except DeadlineError:
            raise UnreachableError(
                f"{running.stored.name} did not answer within {REACHABLE_DEADLINE_S:g} s; "
                f"{log_tail(running.directory.log)}"
            ) from None
        finally:
            await cancelled(reachable, ended)

    def take_up(self, stored: StoredInstance) -> Running:
        """An instance that an earlier controller started, dead or alive. `note_dead` tells of the dead ones."""
        directory = self._run_directory.instance(stored.name)
        if not stored.pid and (noted := read_pid_file(directory.pid_file)) is not None:
            # It was just being started, and has left word of itself.
            stored = replace(stored, pid=noted.pid, start_ticks=noted.start_ticks)
        process = self._launcher.adopt(ProcessIdentity(stored.pid, stored.start_ticks))
        running = self._watch(stored, directory, process)
        running.configured = stored.state is not InstanceState.STARTING
        running.fenced = stored.state is InstanceState.ENDED
        return running

    def note_dead(self) -> None:
        """Those whose processes ended while no controller was there."""
        for running in self.ended:
            if not running.reason and not running.process_lives:
                self._mark_ended(running, "its process ended while the controller was away")

    async def _watch_process(self, running: Running, process: Process) -> None:
        reason = await process.wait()
        if not running.ending:
            self._mark_ended(running, reason)

    def _mark_ended(self, running: Running, reason: str) -> None:
        running.reason, running.ended_ns, running.stalled = reason, time.time_ns(), False
        self._events.add("instance.ended", running.stored.name, f"{reason}; {log_tail(running.directory.log)}")
        self._has_ended(running)

    async def _forward_events(self, running: Running) -> None:
        name = running.stored.name
        with contextlib.suppress(ShoalError):
            async for event in running.client.events():
                self._events.add(event.kind, name, f"{event.subject}: {event.text}", **event.fields)

    def put(self, running: Running, state: InstanceState) -> None:
        running.stored = replace(running.stored, state=state)
        self._store.put_instance(running.stored)

    async def stop(self, running: Running) -> None:
        """Ends the process and forgets the instance; its directory goes, slabs and all."""
        running.ending = True
        if running.process is not None and not running.process.ended:
            with contextlib.suppress(ShoalError):
                await running.client.stop()
            if await running.process.terminate():
                self._events.add("instance.killed", running.stored.name, "it did not end as told, and was killed")
        await self._let_go(running)
        await asyncio.to_thread(running.directory.remove)
        self._store.remove_instance(running.stored.name)
        self._instances.pop(running.stored.name, None)
        self._events.add("instance.stopped", running.stored.name, "its process has ended, as told")

    async def bury(self, running: Running) -> None:
        """Removes what an instance has left whose process has ended. The store has forgotten it before."""
        await self._let_go(running)
        await asyncio.to_thread(running.directory.remove)
        if running.stored.slab_directory:
            await asyncio.to_thread(slabs.remove, Path(running.stored.slab_directory))
        if self._instances.get(running.stored.name) is running:
            self._instances.pop(running.stored.name)

    async def bury_forgotten(self) -> None:
        """What instances have left that the store has forgotten."""
        for directory in self._run_directory.instances():
            if directory.path.name not in self._instances:
                await asyncio.to_thread(directory.remove)

    async def _let_go(self, running: Running) -> None:
        await cancelled(*running.tasks)
        if running.process is not None:
            running.process.close()
        await running.client.close()

    async def close(self) -> None:
        """The controller goes; the instances stay."""
        for running in self._instances.values():
            await self._let_go(running)

    async def refresh(self) -> None:
        """Asks all for their progress; one that does not answer keeps what it said last."""
        alive = [running for running in self.instances if not running.ended and not running.stalled]
        answers = await asyncio.gather(
            *(running.client.progress(REFRESH_DEADLINE_S) for running in alive), return_exceptions=True
        )
        for running, answer in zip(alive, answers, strict=True):
            if isinstance(answer, Progress):
                running.progress = answer


def metrics_address(config: Config, member: int) -> str:
    return config.metrics.beside(member + 2) if config.metrics else ""


def host_of(config: Config, name: str) -> Host | None:
    return next((host for host in config.hosts if host.name == name), None)


def worker_config(config: Config, deployment: StoredDeployment, stored: StoredInstance, nf_path: Path) -> WorkerConfig:
    host = host_of(config, stored.host)
    by_tcp = host is not None and len(config.hosts) > 1
    ports: tuple[Port, ...] = ()
    if config.splitter is False:
        devices = (port.device.replace("{member}", str(stored.member)) for port in config.ports.values())
        ports = tuple(Port(number, device) for number, device in enumerate(devices))
    return WorkerConfig(
        name=stored.name,
        member=stored.member,
        life=stored.life,
        cluster=deployment.cluster,
        hash_seed=deployment.hash_seed,
        nf_path=str(nf_path),
        settings=config.network_function.setting_texts,
        sizes=config.instances.sizes,
        runner=config.instances.runner.settings(stored.member),
        eal=config.instances.eal,
        ports=ports,
        listen_address=host.address if host is not None and by_tcp else "",
        listen_port=host.first_tcp_port + stored.member if host is not None and by_tcp else 0,
        lease_ms=config.lease_ms,
        plane=config.state_plane,
        pipe=config.pipe_runner(stored.member),
        slab_directories=(),  # the agent's affair
    )


def peers_as_seen_by(config: Config, viewer: StoredInstance, instances: Iterable[Running]) -> Mapping[str, Peer]:
    """How `viewer` reaches each: by socket on its own host, by TCP on another."""
    peers = {}
    for running in instances:
        stored = running.stored
        host = host_of(config, stored.host)
        remote = host is not None and stored.host != viewer.host
        peers[stored.name] = Peer(
            member=stored.member,
            life=stored.life,
            name=stored.name,
            socket=str(running.directory.peers),
            address=host.address if host is not None and remote else "",
            tcp_port=host.first_tcp_port + stored.member if host is not None and remote else 0,
        )
    return peers
