# SPDX-License-Identifier: BSD-3-Clause
"""A deployment with one instance on each host (hosts.py), under the generator's traffic, and what is asked of it when
hosts are cut off from one another. Packets come by way of the splitter's rings, which nothing cuts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shoal.model import ClusterStatus, InstanceState
from tests.smoke.hosts import Hosts, hosts
from tests.smoke.mortal import Mortal, mortal
from tests.smoke.network import permitted

LEASE_MS = 1500
SOON_MS = 4000  # a host that is cut off is dead after so long
LATE_MS = 600_000  # it is not dead in this test


def made(count: int) -> Iterator[Hosts]:
    """For fixtures."""
    if not permitted():
        pytest.skip("needs root, for network namespaces")
    with hosts(count) as found:
        yield found


@asynccontextmanager
async def deployed(folder: Path, where: Hosts, dead_after_ms: int) -> AsyncIterator[Mortal]:
    extra = where.config(LEASE_MS, dead_after_ms)
    async with mortal(folder, count=len(where.namespaces), extra=extra) as deployment, deployment.sending():
        yield deployment


def fenced(status: ClusterStatus) -> list[str]:
    return [each.name for each in status.instances if each.state is InstanceState.FENCED]


async def nobody_has_died(deployment: Mortal) -> None:
    kinds = {event.kind for event in await deployment.events()}
    assert not kinds & {"instance.fenced", "view.started", "instance.ended"}, await deployment.story()
    async with deployment.client() as client:
        assert await client.deaths() == ()


async def scales_and_goes_on(deployment: Mortal, count: int) -> None:
    """Objects move between all: what was under way when a link was cut is neither lost nor there twice."""
    for wanted in (count + 1, count):
        await deployment.good("scale", "nat", str(wanted))
        await deployment.until_whole(wanted)
    await deployment.flows_go_on()


async def dies(deployment: Mortal, victims: set[str]) -> str:
    """One host is cut off: one of the victims stops by itself, and is declared dead. Its name."""
    lives = {each.name: each.life for each in (await deployment.status()).instances}
    doomed = await deployment.until_event("instance.fenced")
    assert doomed.subject in victims
    await deployment.until_event("view.completed", doomed.sequence)
    status = await deployment.until(lambda status: fenced(status) == [doomed.subject], "one that is fenced")
    assert sum(each.tokens for each in status.instances if each.state is InstanceState.ACTIVE) == 16384
    # When it was told, it had stopped by itself long since.
    told = await deployment.until_event("fence.shut", doomed.sequence)
    assert told.subject == doomed.subject
    assert told.fields["before"] == "holding"
    async with deployment.client() as client:
        [deaths] = await client.deaths()
    [dead] = deaths.instances
    assert (dead.name, dead.life, dead.adopter) == (doomed.subject, lives[doomed.subject], "")
    assert all(each.at_least and not each.adopted for each in deaths.classes)
    assert next(each for each in deaths.classes if each.class_name == "nat.mapping").last_heard > 0
    await deployment.packets_come_back()
    # Nothing was heard of its host meanwhile.
    assert all(event.kind != "host.heard" for event in await deployment.events())
    return doomed.subject


async def comes_back(deployment: Mortal, name: str, before: ClusterStatus) -> None:
    """Its link heals: it rejoins as a new life, and is a member as any other."""
    count = len(before.instances)
    whole = await deployment.until_whole(count)
    stayed = {each.life for each in before.instances if each.name != name}
    [fresh] = {each.life for each in whole.instances} - stayed
    assert fresh > max(each.life for each in before.instances)
    await deployment.packets_come_back()
    await deployment.good("scale", "nat", str(count - 1))
    await deployment.until_whole(count - 1)


async def dies_and_comes_back(deployment: Mortal, where: Hosts, harm: Callable[[], None], victims: set[str]) -> None:
    """One of the victims is cut off by that harm to the links, until it is dead; then they heal."""
    before = await deployment.status()
    harm()
    name = await dies(deployment, victims)
    where.heal()
    await deployment.until_event("fence.healed")
    await comes_back(deployment, name, before)
