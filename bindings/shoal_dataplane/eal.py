# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's environment abstraction layer: started once in a process."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from shoal_dataplane.door import check, ffi, lib


class Eal:
    """The running EAL of this process."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """arguments[0] is the program's name. Blocks while memory is reserved (seconds without hugepages)."""
        self._arguments = [ffi.new("char[]", argument.encode()) for argument in arguments]
        check(lib.shoal_eal_start(len(self._arguments), ffi.new("char *[]", self._arguments)))
        self._running = True

    def close(self) -> None:
        """Stops EAL. It cannot be started again in this process."""
        if self._running:
            self._running = False
            lib.shoal_eal_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
