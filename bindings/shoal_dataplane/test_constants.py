# SPDX-License-Identifier: BSD-3-Clause
from shoal_dataplane import MEMBER_NONE, MEMBERS_MAX, SLOTS, SLOTS_PER_STEERING, STEERING_SLOTS


def test_slots_are_steering_slots_times_their_share() -> None:
    assert STEERING_SLOTS * SLOTS_PER_STEERING == SLOTS


def test_no_member_has_the_number_for_none() -> None:
    assert MEMBERS_MAX <= MEMBER_NONE
