# SPDX-License-Identifier: BSD-3-Clause
"""Objects for an operator. Where the worker's own tables have them, the control thread asks it; where they lie in a
server (plane remote), a thread of their own does: one that hangs must not keep the controller from this process."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from shoal.agent.worker import Worker
from shoal.model import StateRow
from shoal.process_host import ControlThread

P = ParamSpec("P")
R = TypeVar("R")


class Looking:
    """At the objects of one worker, until `close`."""

    def __init__(self, worker: Worker, thread: ControlThread) -> None:
        self._worker = worker
        self._control = thread
        self._own = ThreadPoolExecutor(1, "looking") if worker.config.plane.kind == "remote" else None

    async def _run(self, function: Callable[P, R], *arguments: P.args, **keywords: P.kwargs) -> R:
        if self._own is None:
            return await self._control.run(function, *arguments, **keywords)
        # Whoever goes while it waits for the thread takes its place in the row along.
        return await asyncio.wrap_future(self._own.submit(function, *arguments, **keywords))

    async def get(self, class_name: str, key: bytes) -> StateRow | None:
        return await self._run(self._worker.state_get, class_name, key)

    async def list(self, class_name: str, cursor: int, limit: int) -> tuple[tuple[StateRow, ...], int, bool]:
        return await self._run(self._worker.state_list, class_name, cursor, limit)

    async def count(self, cursor: int) -> tuple[tuple[int, ...], int, bool]:
        return await self._run(self._worker.state_count, cursor)

    def close(self) -> None:
        """Waits for the call that has begun, which ends within its deadline; those that wait never begin."""
        if self._own is not None:
            self._own.shutdown(wait=True, cancel_futures=True)
