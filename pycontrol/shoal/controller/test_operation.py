# SPDX-License-Identifier: BSD-3-Clause
import asyncio

import pytest

from shoal.controller.operation import Operation, Report
from shoal.errors import RefusedError
from shoal.model import OperationUpdate

STEP = OperationUpdate("start", "one")
DONE = OperationUpdate("done", "all", done=True)


async def test_steps_come_first_and_the_result_last() -> None:
    async def work(report: Report) -> OperationUpdate:
        report(STEP)
        return DONE

    assert [update async for update in Operation("scale", work).updates()] == [STEP, DONE]


async def test_whoever_listens_hears_that_it_was_broken_off() -> None:
    """Not a cancellation of his own: a call that ends so is never answered."""

    async def work(report: Report) -> OperationUpdate:
        report(STEP)
        await asyncio.Event().wait()
        return DONE

    operation = Operation("scale nat 3", work)
    updates = operation.updates()
    async with asyncio.timeout(10):
        assert await anext(updates) == STEP
        operation.task.cancel()
        with pytest.raises(RefusedError, match="scale nat 3 was broken off"):
            await anext(updates)
