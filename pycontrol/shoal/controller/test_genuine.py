# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.controller.genuine import StaleStoreError, check_report
from shoal.controller.planner import NO_MAP, next_map
from shoal.controller.store import STAGE_HAND_OVER, STAGE_LEARN, Store, StoredInstance, StoredPlan
from shoal.model import InstanceReport, InstanceState, Progress, Stage

ONE = next_map(NO_MAP, [0]).following
NAT = StoredInstance("nat-1", 0, 11, "", InstanceState.ACTIVE, 100, 1)
PROGRESS = Progress(
    stage=Stage.NORMAL,
    term=0,
    epoch=1,
    tokens=16384,
    tokens_to_send=0,
    tokens_to_receive=0,
    slots_unswept=0,
    objects=0,
    objects_held=0,
    records_moved=0,
    leases_moved=0,
    bytes_moved=0,
    steering_ready=frozenset(),
    waiting_for="",
)
PLAN = StoredPlan(1, "balance", STAGE_LEARN, 1, 2, ONE, ONE, ("nat-1",), ("nat-1",), True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """In epoch 1, with a plan in its first stage."""
    made = Store(tmp_path / "state.db")
    made.put_deployment(replace(made.begin_deployment("nat.yaml", "", 1, ONE), epoch=made.draw("epoch")))
    made.put_instance(NAT)
    made.put_plan(replace(PLAN, epoch_next=made.draw("epoch")))
    yield made
    made.close()


def report(store: Store, stage: Stage, epoch: int) -> InstanceReport:
    deployment = store.deployment()
    assert deployment is not None
    progress = replace(PROGRESS, stage=stage, epoch=epoch)
    return InstanceReport("nat-1", True, 0, 11, deployment.cluster, 0, 100, True, frozenset(), progress)


@pytest.mark.parametrize(("stage", "epoch"), [(Stage.NORMAL, 1), (Stage.LEARNT, 2)])
def test_what_follows_from_the_store_is_taken(store: Store, stage: Stage, epoch: int) -> None:
    check_report(store, NAT, report(store, stage, epoch))


def test_a_plan_that_was_learnt_and_broken_off_is_no_old_copy(store: Store) -> None:
    store.end_plan()
    check_report(store, NAT, report(store, Stage.LEARNT, 2))


@pytest.mark.parametrize(
    ("stage", "epoch"), [(Stage.HANDING_OVER, 2), (Stage.DONE, 2), (Stage.NORMAL, 2), (Stage.LEARNT, 3)]
)
def test_an_instance_that_is_further_tells_of_an_old_copy(store: Store, stage: Stage, epoch: int) -> None:
    with pytest.raises(StaleStoreError, match=f"epoch {epoch}"):
        check_report(store, NAT, report(store, stage, epoch))


def test_a_stored_hand_over_may_have_begun(store: Store) -> None:
    store.put_plan(replace(PLAN, stage=STAGE_HAND_OVER))
    check_report(store, NAT, report(store, Stage.HANDING_OVER, 2))
