# SPDX-License-Identifier: BSD-3-Clause
"""The controller dies right before and right after every write of everything that can be done (points.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.points import Deed, Doom, Outcome, Walk, drained, removed, scaled
from tests.smoke.mortal import Mortal

FIRST, LAST = frozenset((0,)), frozenset((2,))
AS_BEFORE = Outcome(3)


async def up(deployment: Mortal) -> bool:
    return (await deployment.command("up", str(deployment.file)))[0] == 0


async def first_dies(deployment: Mortal) -> bool:
    deployment.kill((await deployment.instance(0)).process)
    return False


async def first_drained(deployment: Mortal, _: Doom) -> None:
    assert await drained("nat-1")(deployment)


class BrokenOff:
    """A plan of `scale` whose controller dies at one of its writes, found by the function that writes."""

    def __init__(self, within: str, count: int, *, after: bool) -> None:
        self._within = within
        self._count = count
        self._after = after

    async def __call__(self, deployment: Mortal, doom: Doom) -> None:
        doom.put(1, after=self._after, within=self._within)
        assert not await scaled(self._count)(deployment)
        assert self._within in doom.met


SCALE_IN = Deed("scale in", scaled(2), Outcome(2, gone=LAST), AS_BEFORE)
DEEDS = (
    Deed("first up", up, Outcome(2), count=2, from_nothing=True),
    Deed("scale out", scaled(3), Outcome(3), Outcome(2), count=2),
    Deed("remove", removed("nat-1"), Outcome(2, gone=FIRST), AS_BEFORE),
    Deed("drain", drained("nat-1"), Outcome(2, drained=FIRST), AS_BEFORE),
    Deed(
        "remove a drained one",
        removed("nat-1"),
        Outcome(2, gone=FIRST),
        Outcome(2, drained=FIRST),
        prepare=first_drained,
    ),
    Deed("death", first_dies, Outcome(3, gone=FIRST)),
    Deed("death, nobody replaced", first_dies, Outcome(2, gone=FIRST), on_death="shrink"),
    Deed("death of the only one", first_dies, Outcome(1, gone=FIRST), count=1),
    Deed("death in scale out", scaled(3), Outcome(3, gone=FIRST), count=2, victim=0),
    Deed("death in scale in", scaled(2), Outcome(2, gone=FIRST), victim=0),
    Deed("return in learn", up, Outcome(2, gone=LAST), prepare=BrokenOff("put_plan", 2, after=True)),
    Deed("return in hand over", up, Outcome(2, gone=LAST), prepare=BrokenOff("complete_plan", 2, after=False)),
    Deed("return in complete", up, Outcome(2, gone=LAST), prepare=BrokenOff("complete_plan", 2, after=True)),
)


@pytest.mark.timeout(600)
async def test_scale_in(directory: Path) -> None:
    await Walk(directory, SCALE_IN).all()


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.name.replace(" ", "_"))
async def test_all(directory: Path, deed: Deed) -> None:
    await Walk(directory, deed).all()
