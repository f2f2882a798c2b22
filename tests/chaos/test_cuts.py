# SPDX-License-Identifier: BSD-3-Clause
"""Links between hosts that lose packets in one direction, heal, or are reset; processes that stand still. See
tests/smoke/hosts.py for the picture; tests/smoke/test_cut_links.py has the shorter ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.cut_off import (
    LATE_MS,
    SOON_MS,
    comes_back,
    deployed,
    dies,
    dies_and_comes_back,
    fenced,
    made,
    nobody_has_died,
    scales_and_goes_on,
)
from tests.smoke.hosts import Hosts

pytestmark = pytest.mark.long


@pytest.fixture
def two() -> Iterator[Hosts]:
    yield from made(2)


@pytest.fixture
def three() -> Iterator[Hosts]:
    yield from made(3)


@pytest.mark.timeout(240)
async def test_a_reset_connection_comes_back(two: Hosts, directory: Path) -> None:
    async with deployed(directory, two, LATE_MS) as deployment:
        for _ in range(3):
            assert two.reset("b") > 0
            await scales_and_goes_on(deployment, 2)
        await nobody_has_died(deployment)


@pytest.mark.timeout(240)
async def test_a_link_is_cut_while_slots_are_handed_over(two: Hosts, directory: Path) -> None:
    """The plan waits, and is completed once the link has healed."""
    async with deployed(directory, two, LATE_MS) as deployment:
        async with deployment.client() as client:
            async for update in client.scale("nat", 4):
                if update.stage == "handing_over":
                    two.cut("b")
                    break
        suspect = await deployment.until_event("host.suspect")
        two.heal()
        await deployment.until_event("host.heard", suspect.sequence)
        await deployment.until_whole(4)
        await deployment.flows_go_on()
        await nobody_has_died(deployment)


@pytest.mark.timeout(240)
async def test_of_three_hosts_the_one_that_is_cut_off_stops_until_it_is_heard(three: Hosts, directory: Path) -> None:
    async with deployed(directory, three, LATE_MS) as deployment:
        three.cut("b")
        holding = await deployment.until_event("instance.holding")
        assert holding.subject == "nat-2"
        three.heal()
        await deployment.until_event("instance.working", holding.sequence)
        await scales_and_goes_on(deployment, 3)
        await nobody_has_died(deployment)


@pytest.mark.timeout(240)
async def test_of_two_hosts_one_dies_where_packets_are_lost_in_one_direction(two: Hosts, directory: Path) -> None:
    async with deployed(directory, two, SOON_MS) as deployment:
        await dies_and_comes_back(deployment, two, lambda: two.lose("a", "b"), {"nat-1", "nat-2"})


@pytest.mark.timeout(240)
async def test_of_three_hosts_two_that_hear_the_third_go_on_without_each_other(three: Hosts, directory: Path) -> None:
    """What one sends to the other is lost: both hear a majority, and nobody stops."""
    async with deployed(directory, three, LATE_MS) as deployment:
        three.lose("b", "c")
        suspect = await deployment.until_event("host.suspect")
        assert {suspect.subject, suspect.fields["other"]} == {"b", "c"}
        await deployment.packets_come_back()
        assert "instance.holding" not in {event.kind for event in await deployment.events()}
        three.heal()
        await deployment.until_event("host.heard", suspect.sequence)
        await scales_and_goes_on(deployment, 3)
        await nobody_has_died(deployment)


@pytest.mark.timeout(240)
async def test_of_three_hosts_one_dies_where_two_do_not_hear_each_other(three: Hosts, directory: Path) -> None:
    """It heard a majority: the third, until that was told to answer it no more."""
    async with deployed(directory, three, SOON_MS) as deployment:
        await dies_and_comes_back(deployment, three, lambda: three.lose("a", "b"), {"nat-1", "nat-2"})


@pytest.mark.timeout(240)
async def test_a_process_that_stands_still_longer_than_a_cut_off_host_may(three: Hosts, directory: Path) -> None:
    """From another host a process that stands still can't be told from one that is cut off: it is taken for dead, and
    when it goes on, it touches nothing, and begins anew."""
    async with deployed(directory, three, SOON_MS) as deployment:
        before = await deployment.status()
        victim = before.instances[1]
        os.kill(victim.process, signal.SIGSTOP)
        try:
            completed = await deployment.until_event("view.completed")
            await deployment.until(lambda status: fenced(status) == [victim.name], "one that is fenced")
            await deployment.packets_come_back()
        finally:
            os.kill(victim.process, signal.SIGCONT)
        shut = await deployment.until_event("fence.shut", completed.sequence)
        assert (shut.subject, shut.fields["before"]) == (victim.name, "holding")
        await comes_back(deployment, victim.name, before)


@pytest.mark.timeout(240)
async def test_the_controller_is_killed_while_it_waits_for_the_fence(two: Hosts, directory: Path) -> None:
    """The next one carries it through: nobody who was to stop is given a voice again."""
    async with deployed(directory, two, SOON_MS) as deployment:
        before = await deployment.status()
        two.cut("b")
        doomed = await deployment.until_event("instance.fenced")
        await deployment.kill_controller()
        await deployment.good("up", str(deployment.file))
        assert await dies(deployment, {doomed.subject}) == doomed.subject
        two.heal()
        await deployment.kill_controller()
        await deployment.good("up", str(deployment.file))
        await comes_back(deployment, doomed.subject, before)


@pytest.mark.timeout(240)
async def test_a_process_that_stands_still_for_less_goes_on(two: Hosts, directory: Path) -> None:
    """Its lease runs out: it holds until it is heard, and nobody is dead."""
    async with deployed(directory, two, LATE_MS) as deployment:
        victim = await deployment.instance(1)
        os.kill(victim.process, signal.SIGSTOP)
        try:
            await deployment.until_event("instance.stalled")
            suspect = await deployment.until_event("host.suspect")
            await deployment.packets_come_back()
        finally:
            os.kill(victim.process, signal.SIGCONT)
        await deployment.until_event("host.heard", suspect.sequence)
        await scales_and_goes_on(deployment, 2)
        await nobody_has_died(deployment)


@pytest.mark.timeout(240)
async def test_another_dies_while_one_is_cut_off(three: Hosts, directory: Path) -> None:
    """Its view change waits for the one that is cut off, until that one is dead, too."""
    async with deployed(directory, three, SOON_MS) as deployment:
        three.cut("b")
        await deployment.until_event("host.suspect")
        deployment.kill((await deployment.instance(0)).process)
        completed = await deployment.until_event("view.completed")
        await deployment.packets_come_back()
        three.heal()
        await deployment.until_event("fence.healed", completed.sequence)
        await deployment.until_whole(3)
        async with deployment.client() as client:
            deaths = await client.deaths()
        assert len({each.life for told in deaths for each in told.instances}) == 2
        await deployment.packets_come_back()
