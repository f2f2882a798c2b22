# SPDX-License-Identifier: BSD-3-Clause
"""One worker of the object space: runs the NF on its packets."""

import errno
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from shoal_dataplane.constants import CLASSES_MAX
from shoal_dataplane.death import Death, Fate, FateRow, ViewProgress
from shoal_dataplane.door import DataplaneError, check, check_created, ffi, lib, put_text, text
from shoal_dataplane.fence import FenceProgress
from shoal_dataplane.handle import Handle
from shoal_dataplane.plan import DrainProgress, Plan, Progress
from shoal_dataplane.runner import Runner
from shoal_dataplane.state import ClassInformation, StateRow
from shoal_dataplane.statistics import Statistic, read_rows

CURSOR_END: Final = 2**64 - 1
REPLY_BYTES: Final = 65536


class Plane(IntEnum):
    """Where the NF's objects live."""

    SHARED = lib.SHOAL_PLANE_SHARED
    LOCAL = lib.SHOAL_PLANE_LOCAL
    REMOTE = lib.SHOAL_PLANE_REMOTE


@dataclass(frozen=True, slots=True)
class InstanceConfig:
    """As struct shoal_instance_config."""

    name: str
    slab_directory: str  # on hugetlbfs or tmpfs; "": slabs without files
    nf_path: str
    member: int
    life: int
    cluster: int
    hash_seed: int
    objects_max: int
    parked_max: int
    microthreads_max: int
    window: int
    packets: int
    take_deadline_ms: int
    lease_ms: int = 0  # works only while a majority has heard it for so long; 0: all on one host
    plane: int = Plane.SHARED
    remote_address: str = ""  # plane remote: unix:/path, or a numeric host:port
    remote_name: str = ""  # plane remote: keys in the server begin with it
    pipe: int = 0  # 1: packets are received on a thread of their own, see run_pipe_on

    def to_native(self) -> Any:
        structure = ffi.new("struct shoal_instance_config *")
        for field in ("name", "slab_directory", "nf_path", "remote_address", "remote_name"):
            put_text(structure, field, getattr(self, field))
        for field in (
            "member",
            "life",
            "cluster",
            "hash_seed",
            "objects_max",
            "parked_max",
            "microthreads_max",
            "window",
            "packets",
            "take_deadline_ms",
            "lease_ms",
            "plane",
            "pipe",
        ):
            setattr(structure, field, getattr(self, field))
        return structure


class Instance(Handle):
    """A worker. Close it after its runner has stopped; closing removes its slabs."""

    def __init__(self, config: InstanceConfig) -> None:
        super().__init__(check_created(lib.shoal_instance_create(config.to_native())))

    def _destroy(self, pointer: Any) -> None:
        lib.shoal_instance_destroy(pointer)

    def run_on(self, runner: Runner) -> None:
        check(lib.shoal_instance_run_on(self.pointer, runner.pointer))

    def run_pipe_on(self, runner: Runner) -> None:
        """The runner, another one, whose thread receives packets and queues them for the worker."""
        check(lib.shoal_instance_run_pipe_on(self.pointer, runner.pointer))

    def set(self, name: str, value: str) -> None:
        """Before init_nf: one setting of the NF. EINVAL with the NF's own sentence."""
        check(lib.shoal_instance_set(self.pointer, name.encode(), value.encode()))

    def init_nf(self) -> None:
        check(lib.shoal_instance_init_nf(self.pointer))

    def attach_packet_ring(self, descriptor: int) -> None:
        """The ring from a splitter; the descriptor is duplicated."""
        check(lib.shoal_instance_attach_packet_ring(self.pointer, descriptor))

    def detach_packet_ring(self) -> None:
        check(lib.shoal_instance_detach_packet_ring(self.pointer))

    def attach_port(self, nf_port: int, devargs: str) -> None:
        check(lib.shoal_instance_attach_port(self.pointer, nf_port, devargs.encode()))

    def attach_peer_ring(self, member: int, life: int, descriptor: int, side: int) -> None:
        """Of two members the lower number is side 0. The descriptor is duplicated."""
        check(lib.shoal_instance_attach_peer_ring(self.pointer, member, life, descriptor, side))

    def listen(self, address: str, tcp_port: int) -> None:
        check(lib.shoal_instance_listen(self.pointer, address.encode(), tcp_port))

    def attach_peer_tcp(self, member: int, life: int, address: str, tcp_port: int) -> None:
        """Of two members the lower number listens, the higher connects."""
        check(lib.shoal_instance_attach_peer_tcp(self.pointer, member, life, address.encode(), tcp_port))

    def peer_ended(self, member: int, life: int, reason: str) -> None:
        check(lib.shoal_instance_peer_ended(self.pointer, member, life, reason.encode()))

    def detach_peer(self, member: int) -> None:
        check(lib.shoal_instance_detach_peer(self.pointer, member))

    def learn(self, plan: Plan) -> None:
        """Stage 1. ENOSPC: no room for what the next map would bring, with the numbers."""
        check(lib.shoal_instance_learn(self.pointer, plan.to_native()))

    def abandon(self, term: int, epoch: int) -> None:
        check(lib.shoal_instance_abandon(self.pointer, term, epoch))

    def hand_over(self, term: int, epoch: int) -> None:
        check(lib.shoal_instance_hand_over(self.pointer, term, epoch))

    def markers_back(self, term: int, epoch: int) -> None:
        check(lib.shoal_instance_markers_back(self.pointer, term, epoch))

    def forget(self, term: int, epoch: int) -> None:
        check(lib.shoal_instance_forget(self.pointer, term, epoch))

    def progress(self) -> Progress:
        structure = ffi.new("struct shoal_progress *")
        check(lib.shoal_instance_progress(self.pointer, structure))
        return Progress.from_native(structure)

    def drain(self, *, draining: bool) -> DrainProgress:
        """Reads no device any more, and finishes what is in hand; or works as before. May be repeated."""
        structure = ffi.new("struct shoal_drain_progress *")
        check(lib.shoal_instance_drain(self.pointer, int(draining), structure))
        return DrainProgress.from_native(structure)

    def adopt(self, member: int, life: int, slab_directory: str) -> None:
        """Before death: where the slabs of a dead member lie. ENOENT, EPROTO: they can't be used, with the reason."""
        check(lib.shoal_instance_adopt(self.pointer, member, life, slab_directory.encode()))

    def death(self, death: Death) -> None:
        """Begins a view change; view_progress tells how it goes."""
        check(lib.shoal_instance_death(self.pointer, death.to_native()))

    def view_progress(self) -> ViewProgress:
        structure = ffi.new("struct shoal_view_progress *")
        check(lib.shoal_instance_view_progress(self.pointer, structure))
        return ViewProgress.from_native(structure)

    def fates(self, fate: Fate, cursor: int, limit: int) -> tuple[tuple[FateRow, ...], int]:
        """Keys of objects that had that fate, the oldest first, as state_list."""
        rows = ffi.new("struct shoal_fate_row[]", limit)
        position = ffi.new("uint64_t *", cursor)
        count = check(lib.shoal_instance_fates(self.pointer, int(fate), position, rows, limit))
        return tuple(FateRow.from_native(row) for row in rows[0:count]), int(position[0])

    def keep_alive(self, asked_ns: int) -> FenceProgress:
        """The controller's voice. `asked_ns`: the clock_ns of an earlier answer that it has seen; 0: none yet."""
        structure = ffi.new("struct shoal_fence_progress *")
        check(lib.shoal_instance_keep_alive(self.pointer, asked_ns, structure))
        return FenceProgress.from_native(structure)

    def fence(self) -> None:
        """This life was declared dead: its worker touches no packet any more."""
        check(lib.shoal_instance_fence(self.pointer))

    def statistics(self) -> tuple[Statistic, ...]:
        return read_rows(lambda rows, room: int(lib.shoal_instance_statistics(self.pointer, rows, room)))

    def classes(self) -> tuple[ClassInformation, ...]:
        """The NF's object classes, in the order of its list."""
        found = []
        for index in range(CLASSES_MAX):
            information = ffi.new("struct shoal_class_information *")
            answer = lib.shoal_instance_class_information(self.pointer, index, information)
            if answer == -errno.ENOENT:
                break
            check(answer)
            found.append(ClassInformation.from_native(information))
        return tuple(found)

    def state_get(self, class_index: int, key: bytes) -> StateRow | None:
        """What this worker knows of one key; None: nothing."""
        row = ffi.new("struct shoal_state_row *")
        answer = lib.shoal_instance_state_get(self.pointer, class_index, key, len(key), row)
        if answer == -errno.ENOENT:
            return None
        check(answer)
        return StateRow.from_native(row)

    def state_list(self, class_index: int, cursor: int, limit: int) -> tuple[tuple[StateRow, ...], int]:
        """Up to `limit` rows from `cursor` on (0 at first), and the next cursor (CURSOR_END at the end)."""
        rows = ffi.new("struct shoal_state_row[]", limit)
        position = ffi.new("uint64_t *", cursor)
        count = check(lib.shoal_instance_state_list(self.pointer, class_index, position, rows, limit))
        return tuple(StateRow.from_native(row) for row in rows[0:count]), int(position[0])

    def state_count(self, cursor: int) -> tuple[tuple[int, ...], int]:
        """Plane remote: of each class, how many objects the server has from `cursor` on (0 at first), and the next
        cursor."""
        n = len(self.classes())
        counts, position = ffi.new("uint64_t[]", n), ffi.new("uint64_t *", cursor)
        check(lib.shoal_instance_state_count(self.pointer, position, counts, n))
        return tuple(int(count) for count in counts), int(position[0])

    def run_task(self, task: str, arguments: str, deadline_ms: int) -> str:
        """Runs a control task of the NF; ENOENT: no such task; its own failure carries its reply as the sentence."""
        reply = ffi.new("char[]", REPLY_BYTES)
        answer = lib.shoal_instance_run_task(
            self.pointer, task.encode(), arguments.encode(), reply, REPLY_BYTES, deadline_ms
        )
        if answer < 0 and text(reply):
            raise DataplaneError(-answer, text(reply))
        check(answer)
        return text(reply)
