# SPDX-License-Identifier: BSD-3-Clause
"""The worker of this process: EAL, its runner or two, and the C instance. Every method runs in the control thread."""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal import eal_files, slabs
from shoal.eal_arguments import arguments as eal_arguments
from shoal.errors import InvalidRequestError, NotFoundError, ShoalError
from shoal.model import (
    ClassInformation,
    DrainProgress,
    FateRow,
    InstanceSizes,
    Peer,
    Port,
    Progress,
    RunnerSettings,
    StatePlane,
    StateRow,
    Statistic,
)
from shoal.port_device import Claims
from shoal.run_directory import make_private
from shoal.run_settings import runner_config
from shoal_dataplane import (
    SLOTS,
    SLOTS_PER_STEERING,
    STEERING_SLOTS,
    DataplaneError,
    Eal,
    Fate,
    Instance,
    InstanceConfig,
    Plan,
    Runner,
)
from shoal_dataplane.instance import CURSOR_END, Plane
from shoal_dataplane.plan import no_owner

# What a file system says that has no room for slabs, or no right for us: another may do.
NO_ROOM: Final = (errno.ENOMEM, errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What the controller configures an instance with."""

    name: str
    member: int
    life: int
    cluster: int
    hash_seed: int
    nf_path: str
    settings: Mapping[str, str]
    sizes: InstanceSizes
    runner: RunnerSettings
    eal: tuple[str, ...]
    ports: tuple[Port, ...]
    listen_address: str
    listen_port: int
    lease_ms: int  # of the fence; 0: all instances are on this host
    plane: StatePlane
    pipe: RunnerSettings | None  # of the thread that receives packets; None: the worker does
    slab_directories: tuple[Path, ...]  # where the slabs of this life may lie, the best first


def owner_of_slots(steering: bytes) -> bytes:
    """The map of the key space that goes with a steering map: slot s belongs to the member of steering slot s / 64."""
    if len(steering) != STEERING_SLOTS:
        raise InvalidRequestError(f"a steering map has {STEERING_SLOTS} entries, not {len(steering)}")
    return b"".join(bytes([member]) * SLOTS_PER_STEERING for member in steering)


def _owner_now(steering: bytes, owner: bytes) -> bytes:
    """`owner`: of each slot, where that does not follow from the steering; else empty."""
    if owner and len(owner) != SLOTS:
        raise InvalidRequestError(f"a slot map has {SLOTS} entries, not {len(owner)}")
    return owner or owner_of_slots(steering)


def plan_of(
    term: int,
    epochs: tuple[int, int],
    maps: tuple[bytes, bytes],
    members: tuple[Sequence[Peer], Sequence[Peer]],
    expected_objects: Sequence[int],
    owner_now: bytes = b"",
) -> Plan:
    """A reorganisation as the data plane takes it, from epochs, steering maps and members of now and next."""
    return Plan(
        term=term,
        epoch_now=epochs[0],
        epoch_next=epochs[1],
        owner_now=_owner_now(maps[0], owner_now) if epochs[0] else no_owner(),
        owner_next=owner_of_slots(maps[1]),
        members_now={peer.member: peer.life for peer in members[0]},
        members_next={peer.member: peer.life for peer in members[1]},
        expected_objects=expected_objects,
    )


def _instance_config(config: WorkerConfig, slab_directory: Path) -> InstanceConfig:
    sizes = config.sizes
    return InstanceConfig(
        name=config.name,
        slab_directory=str(slab_directory),
        nf_path=config.nf_path,
        member=config.member,
        life=config.life,
        cluster=config.cluster,
        hash_seed=config.hash_seed,
        objects_max=sizes.objects,
        parked_max=sizes.parked,
        microthreads_max=sizes.microthreads,
        window=sizes.window,
        packets=sizes.packets,
        take_deadline_ms=sizes.take_deadline_ms,
        lease_ms=config.lease_ms,
        plane=Plane[config.plane.kind.upper()],
        remote_address=config.plane.address,
        remote_name=config.plane.name,
        pipe=int(config.pipe is not None),
    )


class Worker:
    """Owns the C objects of this process, from the inside out. Word of what would outlive a kill lies in `directory`
    before it is made."""

    def __init__(self, config: WorkerConfig, directory: Path) -> None:
        """Starts the data plane. What was made is taken down again if a later step fails."""
        self.config = config
        self._directory = directory
        self._polling: list[Runner] = []
        self.slab_directory: Path | None = None
        prefix = eal_files.prefix(config.cluster, config.name)
        devices = [port.device for port in config.ports]
        self._claims = Claims(devices)
        eal_files.note(directory, prefix)
        self._eal = Eal(eal_arguments(prefix, config.sizes.packets, devices, config.eal))
        self._runners: list[Runner] = []
        self._instance: Instance | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        config = self.config
        runner = self._add_runner(config.name, config.runner)
        self._instance = self._create()
        for name, value in config.settings.items():
            self._instance.set(name, value)
        self._instance.init_nf()
        if config.listen_address:
            self._instance.listen(config.listen_address, config.listen_port)
        for port in config.ports:
            self._instance.attach_port(port.number, port.device)
        self._instance.run_on(runner)
        if config.pipe is not None:
            self._instance.run_pipe_on(self._add_runner(f"receive-{config.member}", config.pipe))
        for runner in self._runners:
            runner.start()
            self._polling.append(runner)

    def _add_runner(self, name: str, settings: RunnerSettings) -> Runner:
        self._runners.append(Runner(runner_config(name, settings)))
        return self._runners[-1]

    def _create(self) -> Instance:
        """With its slabs in the first directory that has room for them."""
        refusal: Exception | None = None
        for directory in self.config.slab_directories:
            try:
                slabs.note(self._directory, directory)
                make_private(directory)
                instance = Instance(_instance_config(self.config, directory))
            except (DataplaneError, ShoalError) as error:
                slabs.remove(directory)
                if isinstance(error, DataplaneError) and error.code not in NO_ROOM:
                    raise
                refusal = error
                continue
            self.slab_directory = directory
            return instance
        assert refusal is not None
        raise refusal

    @property
    def instance(self) -> Instance:
        assert self._instance is not None
        return self._instance

    def progress(self) -> Progress:
        return self.instance.progress()

    def drain(self, *, draining: bool) -> DrainProgress:
        return self.instance.drain(draining=draining)

    def statistics(self) -> tuple[Statistic, ...]:
        return self.instance.statistics()

    def classes(self) -> tuple[ClassInformation, ...]:
        return self.instance.classes()

    def _class_index(self, name: str) -> int:
        names = [information.name for information in self.classes()]
        if name not in names:
            raise NotFoundError(f"there is no class {name!r}: {', '.join(names)}")
        return names.index(name)

    def state_get(self, class_name: str, key: bytes) -> StateRow | None:
        return self.instance.state_get(self._class_index(class_name), key)

    def state_list(self, class_name: str, cursor: int, limit: int) -> tuple[tuple[StateRow, ...], int, bool]:
        """Rows, the next cursor, and whether that was the end."""
        rows, following = self.instance.state_list(self._class_index(class_name), cursor, limit)
        return rows, following, following == CURSOR_END

    def state_count(self, cursor: int) -> tuple[tuple[int, ...], int, bool]:
        """Plane remote: of each class, how many objects the server has; cursor and end as state_list."""
        counts, following = self.instance.state_count(cursor)
        return counts, following, following == CURSOR_END

    def fates(self, fate: Fate, cursor: int, limit: int) -> tuple[tuple[FateRow, ...], int, bool]:
        """As state_list: objects that had that fate."""
        names = [each.name for each in self.instance.classes()]
        rows, following = self.instance.fates(fate, cursor, limit)
        found = tuple(FateRow(row.view, names[row.class_index], row.key) for row in rows)
        return found, following, following == CURSOR_END

    def close(self) -> None:
        """Stops polling, then takes everything down; the slabs go. May be called again."""
        while self._polling:
            self._polling[-1].stop()  # who receives stops first
            self._polling.pop()
        for handle in (self._instance, *self._runners, self._eal):
            if handle is not None:
                handle.close()
        if self.slab_directory is not None:
            slabs.remove(self.slab_directory)
        self._claims.close()
        slabs.link(self._directory).unlink(missing_ok=True)
        eal_files.forget(self._directory)
