# SPDX-License-Identifier: BSD-3-Clause
"""A long operation: a task that tells its steps to whoever listens, and goes on when nobody does any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from shoal.errors import RefusedError
from shoal.model import OperationUpdate

Report = Callable[[OperationUpdate], None]


class Operation:
    """Runs `work(report)`; the steps that it reports can be read once, by one listener."""

    def __init__(self, name: str, work: Callable[[Report], Awaitable[OperationUpdate]]) -> None:
        self._steps: asyncio.Queue[OperationUpdate | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(work), name=name)

    async def _run(self, work: Callable[[Report], Awaitable[OperationUpdate]]) -> OperationUpdate:
        try:
            return await work(self._steps.put_nowait)
        finally:
            self._steps.put_nowait(None)

    @property
    def task(self) -> asyncio.Task[OperationUpdate]:
        return self._task

    async def updates(self) -> AsyncIterator[OperationUpdate]:
        """The steps as they come, the result last; the operation's error if it fails."""
        while (step := await self._steps.get()) is not None:
            yield step
        await asyncio.wait((self._task,))
        if self._task.cancelled():
            raise RefusedError(f"{self._task.get_name()} was broken off: the deployment is taken down")
        yield self._task.result()
