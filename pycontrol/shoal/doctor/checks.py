# SPDX-License-Identifier: BSD-3-Clause
"""All checks, in the order in which they are told."""

from collections.abc import Callable, Iterable
from typing import Final

from shoal.doctor import directories, machine
from shoal.doctor.finding import Finding
from shoal.run_directory import RunDirectory

Check = Callable[[RunDirectory], Iterable[Finding]]

ALL: Final[tuple[Check, ...]] = (
    lambda _: machine.processors(),
    lambda _: machine.hugepages(),
    lambda _: machine.hugepage_files(),
    lambda directory: machine.slab_directories(directory.path),
    lambda _: machine.shared_memory(),
    lambda _: machine.runtime_directories(),
    lambda _: machine.dpdk(),
    lambda _: machine.ports(),
    lambda _: machine.permissions(),
    lambda _: machine.namespaces(),
    directories.run_directory,
    directories.processes,
    directories.forsaken,
    directories.sockets,
)
