# SPDX-License-Identifier: BSD-3-Clause
"""What is wrong with made-up books."""

from __future__ import annotations

from dataclasses import replace

from tests.chaos.books import Account, faults

NONE = Account(
    sent=100, got=95, unread=0, dropped={"no_mapping": 5}, in_hands=0, inside=0, unsent=0, on_wires=0, missing=0
)


def found(account: Account, *, splitters_killed: int = 0) -> list[str]:
    return faults(account, splitters_killed=splitters_killed, splitters_stopped=0, instances_dead=0, links_cut=0)


def test_where_nobody_was_killed_every_loss_has_a_name() -> None:
    assert found(NONE) == []
    assert found(replace(NONE, dropped={}, unread=5)) == ["5 packets came, and the splitter did not read them"]
    assert found(replace(NONE, dropped={"no_mapping": 4})) == ["5 packets were lost, 4 are accounted for"]


def test_what_a_killed_splitter_passed_on_after_its_last_reading_is_unread_and_the_less_unsent() -> None:
    passed_on = replace(NONE, unread=70, unsent=-70)
    assert found(passed_on, splitters_killed=1) == []
    assert len(found(passed_on)) == 2


def test_more_can_not_leave_than_came() -> None:
    more = replace(NONE, got=105, dropped={}, unsent=-5)
    assert found(more, splitters_killed=1) == ["5 packets more have left or were dropped than came"]
