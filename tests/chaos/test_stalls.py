# SPDX-License-Identifier: BSD-3-Clause
"""An instance is stopped for five seconds under traffic (case 15 of the protocol): back-pressure, packets parked within
their bound, then named drops of its own flows. Nobody is declared dead, and it goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from shoal.model import InstanceState
from tests.smoke.mortal import Mortal, mortal

# How long it is stopped: what the tests are about.
STOP_S = 5.0
NAMED = ("splitter_drops_total", "drops_total")


async def drops(deployment: Mortal) -> dict[str, int]:
    """Dropped packets of all components, by reason."""
    found: Counter[str] = Counter()
    async with deployment.client() as client:
        for each in await client.statistics():
            found.update({row.label_value: row.value for row in each.statistics if row.name in NAMED and row.value})
    return dict(found)


async def ring_full(deployment: Mortal) -> dict[str, int]:
    """Packets that found no room in a member's ring, by member."""
    async with deployment.client() as client:
        rows = [row for each in await client.statistics() for row in each.statistics]
    return {row.label_value: row.value for row in rows if row.name == "splitter_member_ring_full_total" and row.value}


@pytest.mark.timeout(180)
async def test_a_stopped_instance_is_not_dead_and_goes_on(directory: Path) -> None:
    # A ring that is full long before the time is over.
    async with mortal(directory, ring_bytes=1 << 19) as deployment:
        async with deployment.sending():
            stopped, *others = (await deployment.status()).instances
            os.kill(stopped.process, signal.SIGSTOP)
            try:
                told = await deployment.until_event("instance.stalled")
                assert told.subject == stopped.name
                before = await deployment.traffic()
                await asyncio.sleep(STOP_S)
                during = await deployment.traffic()
                status = await deployment.status()
            finally:
                os.kill(stopped.process, signal.SIGCONT)
            # The others' flows have gone on.
            assert during["received"] - before["received"] > (during["sent"] - before["sent"]) / 3
            assert [each.stalled for each in status.instances] == [True, False, False]
            assert all(each.state is InstanceState.ACTIVE for each in status.instances)
            assert status.view == 0
            await deployment.until_event("instance.resumed")
            whole = await deployment.until_whole(3)
            assert [each.process for each in whole.instances] == [stopped.process, *(each.process for each in others)]
            assert await deployment.good("deaths") == "no instance has died\n"
            await deployment.flows_go_on()
        # What it could not take had a bound; the rest are drops with a name, of its own flows only, and all of them.
        dropped, full = await drops(deployment), await ring_full(deployment)
        assert list(full) == [str(stopped.member)]
        assert dropped == {"instance_ring_full": full[str(stopped.member)]}
        assert (await deployment.traffic())["lost"] == full[str(stopped.member)]


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_plan_waits_for_a_stopped_member_and_is_completed(directory: Path) -> None:
    async with mortal(directory) as deployment, deployment.sending():
        stopped = await deployment.instance(1)
        async with deployment.client() as client:
            async for update in client.scale("nat", 1):
                if update.stage == "handing_over":
                    os.kill(stopped.process, signal.SIGSTOP)
                    break
        try:
            await deployment.until_event("instance.stalled")
            await asyncio.sleep(STOP_S)
            assert (await deployment.status()).plan is not None
        finally:
            os.kill(stopped.process, signal.SIGCONT)
        await deployment.until_whole(1)
        assert await deployment.good("deaths") == "no instance has died\n"
        await deployment.flows_go_on()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_view_change_waits_for_a_stopped_survivor(directory: Path) -> None:
    async with mortal(directory) as deployment, deployment.sending():
        dead, stopped, _ = (await deployment.status()).instances
        os.kill(stopped.process, signal.SIGSTOP)
        try:
            deployment.kill(dead.process)
            await deployment.until_event("view.started")
            await asyncio.sleep(STOP_S)
            assert (await deployment.status()).view == 1
        finally:
            os.kill(stopped.process, signal.SIGCONT)
        await deployment.until_event("view.completed")
        whole = await deployment.until_whole(3)
        assert stopped.process in {each.process for each in whole.instances}
        await deployment.flows_go_on()
