# SPDX-License-Identifier: BSD-3-Clause
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.controller.planner import NO_MAP, next_map
from shoal.controller.store import STAGE_COMPLETE, STAGE_HAND_OVER, Store, StoredInstance, StoredPlan
from shoal.errors import ShoalError, StaleTermError
from shoal.model import InstanceState

PLAN = StoredPlan(
    number=1,
    kind="first",
    stage=STAGE_HAND_OVER,
    epoch_now=0,
    epoch_next=1,
    steering_now=NO_MAP,
    steering_next=next_map(NO_MAP, [0]).following,
    members_now=(),
    members_next=("nat-0",),
    stop_leavers=True,
)


def test_each_opening_begins_a_new_reign(tmp_path: Path) -> None:
    terms = []
    for _ in range(3):
        store = Store(tmp_path / "state.db")
        terms.append(store.term)
        store.close()
    assert terms == [1, 2, 3]


def test_a_controller_of_an_older_term_writes_nothing(tmp_path: Path) -> None:
    old = Store(tmp_path / "state.db")
    old.begin_deployment("nat.yaml", "old", 1, NO_MAP)
    new = Store(tmp_path / "state.db")
    for write in (
        lambda: old.draw("epoch"),
        lambda: old.begin_deployment("nat.yaml", "overwritten", 1, NO_MAP),
        lambda: old.put_plan(PLAN),
        lambda: old.end_plan(),
        old.clear,
        lambda: old.put_instance(StoredInstance("nat-0", 0, 1, "", InstanceState.ACTIVE)),
        lambda: old.complete_plan(PLAN, ()),
    ):
        with pytest.raises(StaleTermError, match="term 1 is over: term 2"):
            write()
    deployment = new.deployment()
    assert deployment is not None
    assert deployment.text == "old"
    assert new.plan() is None


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    deployment = store.begin_deployment("nat.yaml", "text", 2, NO_MAP)
    instance = StoredInstance("nat-0", 0, 7, "left", InstanceState.STARTING, 123, 456, "why")
    store.put_instance(instance)
    store.put_plan(PLAN)
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.deployment() == deployment
    assert again.instances() == (instance,)
    assert again.plan() == PLAN


def test_completing_changes_map_members_and_plan_together(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.begin_deployment("nat.yaml", "text", 1, NO_MAP)
    joining = StoredInstance("nat-0", 0, 7, "", InstanceState.JOINING)
    store.put_instance(joining)
    store.complete_plan(PLAN, (joining,))
    deployment = store.deployment()
    assert deployment is not None
    assert (deployment.epoch, deployment.steering) == (1, PLAN.steering_next)
    assert store.instances()[0].state is InstanceState.ACTIVE
    plan = store.plan()
    assert plan is not None
    assert plan.stage == STAGE_COMPLETE
    store.end_plan()
    assert store.plan() is None


@pytest.mark.parametrize(("stop", "state"), [(True, InstanceState.STOPPING), (False, InstanceState.DRAINED)])
def test_a_completed_plan_leaves_word_of_what_becomes_of_a_leaver(
    tmp_path: Path, stop: bool, state: InstanceState
) -> None:
    store = Store(tmp_path / "state.db")
    store.begin_deployment("nat.yaml", "text", 1, NO_MAP)
    leaving = StoredInstance("nat-9", 8, 7, "", InstanceState.LEAVING)
    store.complete_plan(replace(PLAN, members_now=("nat-9",), stop_leavers=stop), (leaving,))
    store.end_plan()
    assert store.instances()[0].state is state


@pytest.mark.parametrize(("wanted", "then"), [(0, 3), (2, 2)])
def test_how_many_are_wanted_changes_with_the_plans_completion(tmp_path: Path, wanted: int, then: int) -> None:
    store = Store(tmp_path / "state.db")
    store.begin_deployment("nat.yaml", "text", 3, NO_MAP)
    plan = replace(PLAN, wanted=wanted)
    store.put_plan(plan)
    assert store.plan() == plan
    store.complete_plan(plan, ())
    deployment = store.deployment()
    assert deployment is not None
    assert deployment.instances_wanted == then


def test_with_a_plans_completion_what_an_operation_wanted_is_reached(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    made = store.begin_deployment("nat.yaml", "text", 3, NO_MAP)
    under_way = replace(made, instances_wanted=4, wanted_before=3)
    store.put_deployment(under_way)
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.deployment() == under_way
    again.complete_plan(PLAN, ())
    deployment = again.deployment()
    assert deployment is not None
    assert (deployment.instances_wanted, deployment.wanted_before) == (4, 0)


def test_numbers_are_never_given_twice_not_even_after_clear(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    assert [store.draw("life"), store.draw("life"), store.draw("epoch")] == [1, 2, 1]
    store.clear()
    store.close()
    assert Store(tmp_path / "state.db").draw("life") == 3


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(ShoalError, match="version 99"):
        Store(tmp_path / "state.db")
