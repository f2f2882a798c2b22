# SPDX-License-Identifier: BSD-3-Clause
"""A thread that polls components."""

import enum
from dataclasses import dataclass
from typing import Any

from shoal_dataplane.door import check, check_created, ffi, lib, put_text
from shoal_dataplane.handle import Handle


class IdlePolicy(enum.IntEnum):
    """What a runner does after a number of polls without work."""

    SPIN = lib.SHOAL_IDLE_SPIN
    YIELD = lib.SHOAL_IDLE_YIELD
    SLEEP = lib.SHOAL_IDLE_SLEEP


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    name: str
    cpu: int = -1  # -1: any
    idle_policy: IdlePolicy = IdlePolicy.SLEEP
    idle_polls: int = 256
    sleep_us: int = 50


class Runner(Handle):
    """Polls the components that run on it, between start() and stop()."""

    def __init__(self, config: RunnerConfig) -> None:
        structure = ffi.new("struct shoal_runner_config *")
        put_text(structure, "name", config.name[:15])
        structure.cpu = config.cpu
        structure.idle_policy = int(config.idle_policy)
        structure.idle_polls = config.idle_polls
        structure.sleep_us = config.sleep_us
        super().__init__(check_created(lib.shoal_runner_create(structure)))

    def start(self) -> None:
        check(lib.shoal_runner_start(self.pointer))

    def stop(self) -> None:
        """Stops between two polls. Blocks for at most 1 s, then ETIMEDOUT."""
        check(lib.shoal_runner_stop(self.pointer))

    def _destroy(self, pointer: Any) -> None:
        lib.shoal_runner_destroy(pointer)
