# SPDX-License-Identifier: BSD-3-Clause
"""Instances on two and three hosts, between which all packets are lost for a while. See hosts.py for the picture; `make
deaths` has the longer ones of these tests (tests/chaos/test_cuts.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.cut_off import (
    LATE_MS,
    SOON_MS,
    deployed,
    dies_and_comes_back,
    made,
    nobody_has_died,
    scales_and_goes_on,
)
from tests.smoke.hosts import Hosts


@pytest.fixture
def two() -> Iterator[Hosts]:
    yield from made(2)


@pytest.fixture
def three() -> Iterator[Hosts]:
    yield from made(3)


@pytest.mark.timeout(240)
async def test_a_cut_that_heals_is_no_death(two: Hosts, directory: Path) -> None:
    async with deployed(directory, two, LATE_MS) as deployment:
        two.cut("b")
        suspect = await deployment.until_event("host.suspect")
        assert {suspect.subject, suspect.fields["other"]} == {"a", "b"}
        two.heal()
        await deployment.until_event("host.heard", suspect.sequence)
        await scales_and_goes_on(deployment, 2)
        await nobody_has_died(deployment)


@pytest.mark.timeout(240)
async def test_of_three_hosts_the_one_that_is_cut_off_dies_and_comes_back(three: Hosts, directory: Path) -> None:
    async with deployed(directory, three, SOON_MS) as deployment:
        await dies_and_comes_back(deployment, three, lambda: three.cut("b"), {"nat-2"})
