# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.controller.planner import NO_MAP, next_map
from shoal.controller.store import STAGE_HAND_OVER, Store, StoredInstance, StoredPlan
from shoal.controller.view import Corpse, Maps, Worker, plan_view, whole
from shoal.controller.view_store import DEATHS_KEPT, StoredView, ViewStore
from shoal.errors import StaleTermError
from shoal.model import ClassLosses, DeadInstance, Deaths, InstanceState

TWO = next_map(NO_MAP, [0, 1]).following
ALONE = next_map(TWO, [0]).following
DEAD = Corpse(Worker("nat-2", 1, 12, "", 70), "/dev/shm/shoal-x-12")
SURVIVOR = Worker("nat-1", 0, 11, "")
VIEW = StoredView(
    number=3,
    epoch=9,
    corpses=(DEAD,),
    survivors=("nat-1",),
    plan=plan_view([DEAD], [SURVIVOR], Maps(whole(TWO), whole(TWO), TWO)),
    owner_now=whole(TWO),
    owner_next=whole(TWO),
    started_ns=17,
)
DEATHS = Deaths(
    3,
    17,
    8.5,
    (DeadInstance("nat-2", 1, 12, "killed", "nat-1"),),
    (ClassLosses("nat.mapping", 70, 2, 1), ClassLosses("nat.ports", lost=3, rolled_back=1, at_least=True)),
)
INSTANCES = (
    StoredInstance("nat-1", 0, 11, "", InstanceState.LEAVING, 100, 1),
    StoredInstance("nat-2", 1, 12, "", InstanceState.ENDED, 101, 1, "/dev/shm/shoal-x-12"),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state.db")
    made.put_deployment(replace(made.begin_deployment("nat.yaml", "", 2, TWO), epoch=4))
    for instance in INSTANCES:
        made.put_instance(instance)
    yield made
    made.close()


def test_a_view_begun_is_there_after_a_restart_and_the_plan_is_over(store: Store, tmp_path: Path) -> None:
    plan = StoredPlan(1, "scale_in", STAGE_HAND_OVER, 4, 5, TWO, ALONE, ("nat-1", "nat-2"), ("nat-1",), True)
    store.put_plan(plan)
    ViewStore(store).begin(VIEW)
    again = Store(tmp_path / "state.db")
    assert ViewStore(again).view() == VIEW
    assert again.plan() is None
    again.close()


def test_a_finished_view_leaves_the_map_and_the_report(store: Store) -> None:
    views = ViewStore(store)
    views.begin(VIEW)
    views.finish(VIEW, bytes(len(VIEW.owner_now)), [replace(INSTANCES[0], counts="[1]")], DEATHS)
    assert views.view() is None
    assert views.deaths() == (DEATHS,)
    deployment = store.deployment()
    assert deployment is not None
    assert (deployment.epoch, deployment.steering, deployment.owner) == (9, bytes(256), b"")
    assert [(each.name, each.state, each.counts) for each in store.instances()] == [
        ("nat-1", InstanceState.ACTIVE, "[1]")
    ]


@pytest.mark.parametrize(("shrinks", "wanted"), [(True, 1), (False, 2)])
def test_those_who_are_not_replaced_are_wanted_no_more_with_the_same_write(
    store: Store, shrinks: bool, wanted: int
) -> None:
    ViewStore(store).finish(VIEW, VIEW.owner_now, INSTANCES[:1], DEATHS, shrinks=shrinks)
    deployment = store.deployment()
    assert deployment is not None
    assert deployment.instances_wanted == wanted


@pytest.mark.parametrize(("shrinks", "before"), [(True, 1), (False, 2)])
def test_what_an_operation_under_way_wants_stays_wanted_in_spite_of_a_death(
    store: Store, shrinks: bool, before: int
) -> None:
    """But not what would be wanted again if it failed."""
    deployment = store.deployment()
    assert deployment is not None
    store.put_deployment(replace(deployment, instances_wanted=3, wanted_before=2))
    ViewStore(store).finish(VIEW, VIEW.owner_now, INSTANCES[:1], DEATHS, shrinks=shrinks)
    deployment = store.deployment()
    assert deployment is not None
    assert (deployment.instances_wanted, deployment.wanted_before) == (3, before)


def test_a_map_that_does_not_go_with_the_steering_is_kept(store: Store) -> None:
    mixed = bytes(len(VIEW.owner_now) - 1) + b"\x01"
    ViewStore(store).finish(VIEW, mixed, INSTANCES[:1], DEATHS)
    deployment = store.deployment()
    assert deployment is not None
    assert deployment.owner == mixed


def test_a_fresh_life_of_a_dead_ones_name_stays(store: Store) -> None:
    store.put_instance(replace(INSTANCES[1], life=30, state=InstanceState.STARTING))
    ViewStore(store).finish(VIEW, VIEW.owner_now, INSTANCES[:1], DEATHS)
    assert [(each.name, each.life) for each in store.instances()] == [("nat-1", 11), ("nat-2", 30)]


def test_the_last_reports_are_kept(store: Store) -> None:
    views = ViewStore(store)
    for number in range(DEATHS_KEPT + 3):
        views.finish(VIEW, VIEW.owner_now, (), replace(DEATHS, view=number))
    kept = views.deaths()
    assert len(kept) == DEATHS_KEPT
    assert (kept[0].view, kept[-1].view) == (3, DEATHS_KEPT + 2)


def test_a_controller_of_an_older_term_begins_no_view(store: Store, tmp_path: Path) -> None:
    newer = Store(tmp_path / "state.db")
    with pytest.raises(StaleTermError):
        ViewStore(store).begin(VIEW)
    assert ViewStore(newer).view() is None
    newer.close()
