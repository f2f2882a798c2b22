# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Mapping

from shoal.controller.suspicion import Witness, cut_off, majority, silent_pairs

DEAD_AFTER = 10_000


def cluster(
    hosts: Mapping[int, str], silent: Mapping[tuple[int, int], int], mute: tuple[int, ...] = ()
) -> list[Witness]:
    """`hosts`: of each member; `silent`: between two members, in both directions."""

    def heard(member: int) -> dict[int, int]:
        return {
            other: silent.get((min(member, other), max(member, other)), 100)
            for other, host in hosts.items()
            if host != hosts[member]
        }

    return [
        Witness(f"nat-{member + 1}", member, host, 10 * member, None if member in mute else heard(member))
        for member, host in hosts.items()
    ]


def names(*members: int) -> frozenset[str]:
    return frozenset(f"nat-{member + 1}" for member in members)


def test_where_all_are_heard_nobody_is_cut_off() -> None:
    witnesses = cluster({0: "a", 1: "b", 2: "c"}, {(0, 1): DEAD_AFTER - 1})
    assert cut_off(witnesses, [range(3)], DEAD_AFTER) == frozenset()
    assert silent_pairs(witnesses, 5000) == {("a", "b"): DEAD_AFTER - 1}


def test_of_three_hosts_the_one_that_is_alone_is_cut_off() -> None:
    witnesses = cluster({0: "a", 1: "b", 2: "c"}, {(0, 1): 12_000, (0, 2): 11_000})
    assert cut_off(witnesses, [range(3)], DEAD_AFTER) == names(0)


def test_of_two_hosts_the_one_with_fewer_members_then_objects_is_cut_off() -> None:
    silent = {(0, 1): 12_000, (0, 2): 12_000, (1, 2): 12_000}
    assert cut_off(cluster({0: "a", 1: "b", 2: "a"}, silent), [range(3)], DEAD_AFTER) == names(1)
    assert cut_off(cluster({0: "a", 1: "b"}, silent), [range(2)], DEAD_AFTER) == names(0)
    assert cut_off(cluster({0: "a", 1: "b"}, silent, mute=(1,)), [range(2)], DEAD_AFTER) == names(1)


def test_one_member_or_channel_that_is_silent_is_no_death() -> None:
    hosts = {0: "a", 1: "a", 2: "b", 3: "b"}
    stalled = {(0, 2): 60_000, (1, 2): 60_000}
    assert cut_off(cluster(hosts, stalled, mute=(2,)), [range(4)], DEAD_AFTER) == frozenset()
    broken = {(0, 2): 60_000}
    assert cut_off(cluster(hosts, broken), [range(4)], DEAD_AFTER) == frozenset()


def test_where_two_of_three_hosts_do_not_hear_each_other_one_of_them_goes() -> None:
    witnesses = cluster({0: "a", 1: "b", 2: "c"}, {(0, 1): 12_000})
    assert cut_off(witnesses, [range(3)], DEAD_AFTER) == names(0)  # fewer objects


def test_without_a_majority_nobody_is_declared_dead() -> None:
    apart = {(0, 1): 12_000, (0, 2): 12_000, (1, 2): 12_000}
    assert cut_off(cluster({0: "a", 1: "b", 2: "c"}, apart), [range(3)], DEAD_AFTER) == frozenset()
    # Five members in the next map: two are half of neither.
    witnesses = cluster({0: "a", 1: "a", 2: "b"}, {(0, 2): 12_000, (1, 2): 12_000})
    assert cut_off(witnesses, [range(3)], DEAD_AFTER) == names(2)
    assert cut_off(witnesses, [range(3), range(5)], DEAD_AFTER) == frozenset()


def test_who_says_nothing_says_nothing_of_others() -> None:
    witnesses = cluster({0: "a", 1: "b"}, {(0, 1): 60_000}, mute=(0, 1))
    assert cut_off(witnesses, [range(2)], DEAD_AFTER) == frozenset()


def test_half_is_a_majority_with_the_controller() -> None:
    assert majority(range(4), [0, 1])
    assert not majority(range(5), [0, 1])
    assert majority(range(5), [0, 1, 4, 9])
    assert not majority([], [])
