# SPDX-License-Identifier: BSD-3-Clause
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.controller.planner import NO_MAP, expected_objects, free_numbers, next_map
from shoal.errors import InvalidRequestError
from shoal_dataplane import MEMBERS_MAX, STEERING_SLOTS

members = st.sets(st.integers(0, MEMBERS_MAX - 1), min_size=1)
maps = st.one_of(
    st.just(NO_MAP),
    st.lists(st.integers(0, MEMBERS_MAX - 1), min_size=STEERING_SLOTS, max_size=STEERING_SLOTS).map(bytes),
    members.map(lambda chosen: next_map(NO_MAP, chosen).following),
)


@given(maps, members)
def test_the_next_map_is_balanced_over_exactly_its_members(now: bytes, chosen: set[int]) -> None:
    counts = Counter(next_map(now, chosen).following)
    assert set(counts) == chosen
    assert max(counts.values()) - min(counts.values()) <= 1


@given(maps, members)
def test_no_more_slots_move_than_balance_needs(now: bytes, chosen: set[int]) -> None:
    plan = next_map(now, chosen)
    counts = {member: now.count(member) for member in chosen}
    least, odd = divmod(STEERING_SLOTS, len(chosen))
    # The most that can stay: each member its share, the odd ones with those that have more.
    stay = sum(min(count, least) for count in counts.values())
    stay += min(odd, sum(count > least for count in counts.values()))
    assert len(plan.moves) == STEERING_SLOTS - stay


@given(maps, members)
def test_planning_again_moves_nothing(now: bytes, chosen: set[int]) -> None:
    following = next_map(now, chosen).following
    assert not next_map(following, chosen).moves


@given(maps, members)
def test_moves_tell_all_changes(now: bytes, chosen: set[int]) -> None:
    plan = next_map(now, chosen)
    changed = bytearray(now)
    for slot, (old, new) in plan.moves.items():
        assert changed[slot] == old
        changed[slot] = new
    assert bytes(changed) == plan.following


@given(members, members)
def test_slots_never_move_between_members_that_stay_when_only_some_join(first: set[int], more: set[int]) -> None:
    now = next_map(NO_MAP, first).following
    joined = more - first
    plan = next_map(now, first | joined)
    assert {new for _, new in plan.moves.values()} <= joined


def test_from_one_to_two_half_moves() -> None:
    plan = next_map(next_map(NO_MAP, [0]).following, [0, 1])
    assert len(plan.moves) == 128
    assert plan.slots_moved == 8192


def test_a_joiner_expects_its_share_of_each_old_members_objects() -> None:
    plan = next_map(next_map(NO_MAP, [0, 1]).following, [0, 1, 2])
    moved = {old: sum(pair == (old, 2) for pair in plan.moves.values()) for old in (0, 1)}
    assert expected_objects(plan, {0: [1280, 0], 1: [0, 128]}, 2) == (10 * moved[0], moved[1])
    assert expected_objects(plan, {0: [1280, 0], 1: [0, 128]}, 0) == (0, 0)
    assert expected_objects(next_map(NO_MAP, [0]), {}, 0) == ()


@pytest.mark.parametrize("chosen", [[], [1, 1], [MEMBERS_MAX]])
def test_a_map_without_proper_members_is_refused(chosen: list[int]) -> None:
    with pytest.raises(InvalidRequestError):
        next_map(NO_MAP, chosen)


def test_member_numbers_run_out_with_the_numbers_told() -> None:
    assert free_numbers({0, 2}, 2) == (1, 3)
    with pytest.raises(InvalidRequestError, match="64 there, 1 more"):
        free_numbers(set(range(MEMBERS_MAX)), 1)
