# SPDX-License-Identifier: BSD-3-Clause
"""How many are wanted while operations go on and fail, and leavers whose processes do not end. What plans do with real
instances is tested in tests/integration and tests/chaos."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from shoal.controller.config import parse
from shoal.controller.fleet import Fleet
from shoal.controller.launcher import Process, ProcessSpecification
from shoal.controller.membership import Membership
from shoal.controller.planner import NO_MAP
from shoal.controller.reorganisation import Reorganisation
from shoal.controller.splitter_keeper import SplitterKeeper
from shoal.controller.store import STAGE_HAND_OVER, Store, StoredInstance, StoredPlan
from shoal.errors import DeadlineError
from shoal.event_log import EventLog
from shoal.model import InstanceState
from shoal.run_directory import ProcessIdentity, RunDirectory

CONFIG = parse(
    "network_function: { name: nat }\nports: { inside: { device: x }, outside: { device: y } }\n", "nat.yaml"
)
PLAN = StoredPlan(1, "scale_in", STAGE_HAND_OVER, 1, 2, NO_MAP, NO_MAP, ("nat-1",), (), stop_leavers=True, wanted=2)


class Stuck:
    """A process that the kernel does not take apart, though it was killed: none that a test could start."""

    identity = ProcessIdentity(os.getpid(), 0)
    ended = False
    may_end = False

    async def wait(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def terminate(self) -> bool:
        if not self.may_end:
            raise DeadlineError("process 1 does not end, though it was killed")
        self.ended = True
        return True

    def close(self) -> None:
        pass


class Adopting:
    """A launcher of nothing but that process."""

    def __init__(self, process: Stuck) -> None:
        self._process = process

    async def start(self, specification: ProcessSpecification) -> Process:
        raise AssertionError(specification)

    def adopt(self, identity: ProcessIdentity) -> Process | None:
        return self._process


@dataclass
class World:
    store: Store
    fleet: Fleet
    membership: Membership
    process: Stuck

    @property
    def wanted(self) -> tuple[int, int]:
        deployment = self.store.deployment()
        assert deployment is not None
        return deployment.instances_wanted, deployment.wanted_before


@pytest.fixture
async def world(run_directory: RunDirectory) -> AsyncIterator[World]:
    run_directory.create()
    store, events, process = Store(run_directory.store), EventLog(), Stuck()
    store.begin_deployment("nat.yaml", "", 3, NO_MAP)
    launcher = Adopting(process)

    async def settled() -> None:
        pass

    fleet = Fleet(store, launcher, run_directory, events, lambda _: None)
    reorganisation = Reorganisation(store, fleet, events, settled)
    splitter = SplitterKeeper(store, launcher, run_directory.splitter, fleet, events, lambda: NO_MAP)
    yield World(store, fleet, Membership(store, fleet, reorganisation, splitter, settled), process)
    await fleet.close()
    store.close()


def test_what_an_operation_wanted_is_taken_back_where_it_fails(world: World) -> None:
    world.membership.begin(4)
    assert (world.membership.wanted, world.wanted) == (4, (4, 3))
    assert world.membership.take_back() == 3
    assert world.wanted == (3, 0)
    assert world.membership.take_back() is None


def test_what_was_reached_stays_wanted(world: World) -> None:
    world.membership.begin(4)
    world.membership.reached()
    assert world.membership.take_back() is None
    assert world.wanted == (4, 0)


def test_an_operation_after_one_that_was_broken_off_goes_back_to_what_was_before_both(world: World) -> None:
    world.membership.begin(4)
    world.membership.begin(5)
    assert world.membership.take_back() == 3


def test_what_a_completed_plan_has_made_wanted_is_not_taken_back(world: World) -> None:
    """Though its leaver's process does not end, and so the operation fails."""
    world.store.complete_plan(PLAN, ())
    assert world.membership.take_back() is None
    assert world.wanted == (2, 0)
    world.membership.begin(1)
    world.store.complete_plan(replace(PLAN, wanted=0), ())
    assert world.membership.take_back() is None
    assert world.wanted == (1, 0)


async def test_one_that_has_left_and_did_not_end_can_be_removed_again(world: World) -> None:
    running = world.fleet.take_up(StoredInstance("nat-1", 0, 1, "", InstanceState.STOPPING, os.getpid(), 1))
    with pytest.raises(DeadlineError, match="does not end"):
        await world.membership.leave(CONFIG, running, lambda _: None, stop_leavers=True)
    assert list(world.fleet.instances) == [running]
    world.process.may_end = True
    update = await world.membership.leave(CONFIG, running, lambda _: None, stop_leavers=True)
    assert (update.done, update.text) == (True, "nat-1 had handed over everything before, and has ended now")
    assert not world.fleet.instances
    assert not world.store.instances()
    assert world.wanted == (3, 0)
