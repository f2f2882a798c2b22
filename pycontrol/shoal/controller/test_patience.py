# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from itertools import pairwise

from shoal.controller.patience import AT_ONCE, LONGEST_S, SHORT_S, Patience


def test_one_that_lived_is_replaced_at_once() -> None:
    patience = Patience()
    assert [patience.pause_s(SHORT_S) for _ in range(100)] == [0.0] * 100


def test_kills_soon_after_one_another_cost_no_time() -> None:
    patience = Patience()
    assert [patience.pause_s(0.1) for _ in range(AT_ONCE)] == [0.0] * AT_ONCE


def test_a_crash_loop_slows_down_and_ends_with_a_life() -> None:
    patience = Patience()
    pauses = [patience.pause_s(0.0) for _ in range(2000)]
    slow = pauses[AT_ONCE:]
    assert slow[0] > 0
    assert all(later == min(LONGEST_S, 2 * earlier) for earlier, later in pairwise(slow))
    assert slow[-1] == LONGEST_S
    assert patience.pause_s(SHORT_S) == 0.0
    assert patience.pause_s(0.0) == 0.0
