# SPDX-License-Identifier: BSD-3-Clause
"""The splitter: spreads packets over members by steering slot."""

from dataclasses import dataclass
from typing import Any

from shoal_dataplane.constants import STEERING_SLOTS
from shoal_dataplane.door import check, check_created, ffi, lib, put_text
from shoal_dataplane.generator import Generator
from shoal_dataplane.handle import Handle
from shoal_dataplane.plan import bits_of, to_bits
from shoal_dataplane.runner import Runner
from shoal_dataplane.statistics import Statistic, read_rows


@dataclass(frozen=True, slots=True)
class SplitterConfig:
    """As struct shoal_splitter_config."""

    name: str
    nf_path: str
    packets: int
    parked_max: int
    fragments_max: int
    ring_bytes: int

    def to_native(self) -> Any:
        structure = ffi.new("struct shoal_splitter_config *")
        put_text(structure, "name", self.name)
        put_text(structure, "nf_path", self.nf_path)
        structure.packets = self.packets
        structure.parked_max = self.parked_max
        structure.fragments_max = self.fragments_max
        structure.ring_bytes = self.ring_bytes
        return structure


@dataclass(frozen=True, slots=True)
class RedirectProgress:
    pending: int
    done: int
    parked: int
    parked_most: int
    pending_slots: frozenset[int]


class Splitter(Handle):
    """Close it after its runner has stopped."""

    def __init__(self, config: SplitterConfig) -> None:
        super().__init__(check_created(lib.shoal_splitter_create(config.to_native())))

    def _destroy(self, pointer: Any) -> None:
        lib.shoal_splitter_destroy(pointer)

    def run_on(self, runner: Runner) -> None:
        check(lib.shoal_splitter_run_on(self.pointer, runner.pointer))

    def set(self, name: str, value: str) -> None:
        """Before init_nf: one setting of the NF, as the instances'."""
        check(lib.shoal_splitter_set(self.pointer, name.encode(), value.encode()))

    def init_nf(self) -> None:
        check(lib.shoal_splitter_init_nf(self.pointer))

    def attach_port(self, nf_port: int, devargs: str) -> None:
        check(lib.shoal_splitter_attach_port(self.pointer, nf_port, devargs.encode()))

    def attach_generator(self, nf_port: int, generator: Generator) -> None:
        """The generator's end at an NF port becomes the splitter's port. Close the splitter before the generator."""
        check(lib.shoal_splitter_attach_generator(self.pointer, nf_port, generator.pointer))

    def attach_member(self, member: int) -> int:
        """Makes the packet ring of a member; the descriptor for it is the caller's."""
        return check(lib.shoal_splitter_attach_member(self.pointer, member))

    def detach_member(self, member: int) -> None:
        check(lib.shoal_splitter_detach_member(self.pointer, member))

    def set_table(self, members: bytes) -> None:
        """First table: the member of each steering slot."""
        if len(members) != STEERING_SLOTS:
            raise ValueError(f"a steering table has {STEERING_SLOTS} entries, not {len(members)}")
        check(lib.shoal_splitter_set_table(self.pointer, members))

    def get_table(self) -> bytes:
        members = ffi.new("uint8_t[]", STEERING_SLOTS)
        check(lib.shoal_splitter_get_table(self.pointer, members))
        return bytes(ffi.buffer(members))

    def redirect(self, steering_slots: frozenset[int], member: int) -> None:
        """Parks each steering slot, sends its marker, waits for it, and goes on at `member`; returns at once."""
        check(lib.shoal_splitter_redirect(self.pointer, to_bits(steering_slots), member))

    def redirect_progress(self, *, reset: bool = False) -> RedirectProgress:
        structure = ffi.new("struct shoal_redirect_progress *")
        check(lib.shoal_splitter_redirect_progress(self.pointer, int(reset), structure))
        return RedirectProgress(
            pending=structure.pending,
            done=structure.done,
            parked=structure.parked,
            parked_most=structure.parked_most,
            pending_slots=bits_of(bytes(ffi.buffer(structure.pending_slots))),
        )

    def statistics(self) -> tuple[Statistic, ...]:
        return read_rows(lambda rows, room: int(lib.shoal_splitter_statistics(self.pointer, rows, room)))
