# SPDX-License-Identifier: BSD-3-Clause
import random

import pytest

from shoal.controller.planner import NO_MAP, next_map
from shoal.controller.view import Corpse, Maps, TokensError, Worker, owners, plan_view, whole
from shoal.errors import InvalidRequestError
from shoal_dataplane import SLOTS

THREE = next_map(NO_MAP, [0, 1, 2]).following


def worker(member: int, objects: int = 0, host: str = "") -> Worker:
    return Worker(f"nat-{member + 1}", member, member + 10, host, objects)


def settled(steering: bytes) -> Maps:
    return Maps(whole(steering), whole(steering), steering)


def test_the_survivor_with_the_fewest_objects_adopts() -> None:
    plan = plan_view([Corpse(worker(1), "/slabs")], [worker(0, 70), worker(2, 30)], settled(THREE))
    assert plan.adopters == {1: 2}
    assert plan.steering == bytes(2 if member == 1 else member for member in THREE)
    assert plan.mint == whole(plan.steering)


def test_two_dead_are_adopted_by_two() -> None:
    four = next_map(NO_MAP, range(4)).following
    corpses = [Corpse(worker(0, 10), "/a"), Corpse(worker(1, 90), "/b")]
    plan = plan_view(corpses, [worker(2, 50), worker(3, 55)], settled(four))
    assert plan.adopters == {1: 2, 0: 3}


def test_nobody_adopts_from_another_host() -> None:
    plan = plan_view([Corpse(worker(1, 0, "b"), "/slabs")], [worker(0, 0, "a"), worker(2, 0, "a")], settled(THREE))
    assert plan.adopters == {}
    assert abs(plan.steering.count(0) - plan.steering.count(2)) <= 1
    assert plan.mint == whole(plan.steering)


def test_without_a_slab_the_tokens_are_spread() -> None:
    plan = plan_view([Corpse(worker(0), "", "another layout")], [worker(1), worker(2)], settled(THREE))
    assert plan.adopters == {}
    assert 0 not in plan.steering
    assert all(plan.steering[slot] == THREE[slot] for slot in range(256) if THREE[slot] != 0)
    assert abs(plan.steering.count(1) - plan.steering.count(2)) <= 1


def test_a_death_while_slots_are_handed_over_leaves_all_tokens_of_either_map_to_the_adopter() -> None:
    two = next_map(THREE, [0, 1]).following  # 2 leaves
    plan = plan_view([Corpse(worker(2), "/slabs")], [worker(0, 5), worker(1, 1)], Maps(whole(THREE), whole(two), two))
    assert plan.adopters == {2: 1}
    assert plan.steering == two
    for slot in range(SLOTS):
        assert plan.mint[slot] == (1 if whole(THREE)[slot] == 2 else whole(two)[slot])


def test_of_two_dead_owners_the_next_ones_adopter_mints() -> None:
    two = next_map(THREE, [0, 1]).following
    corpses = [Corpse(worker(2, 9), "/a"), Corpse(worker(1, 1), "/b")]
    plan = plan_view(corpses, [worker(0)], Maps(whole(THREE), whole(two), two))
    assert plan.adopters == {1: 0, 2: 0}
    assert plan.mint == bytes(SLOTS)


def test_a_view_of_nobody_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        plan_view([Corpse(worker(0), "/slabs")], [], settled(NO_MAP))


@pytest.mark.parametrize("seed", range(40))
def test_every_plan_leaves_nothing_to_the_dead(seed: int) -> None:
    """Whatever was handed over to whom: packets and tokens go to survivors, and survivors keep what they have."""
    chance = random.Random(seed)
    members = chance.sample(range(64), chance.randint(2, 12))
    now = next_map(NO_MAP, members).following
    following = next_map(now, chance.sample(members, chance.randint(1, len(members)))).following
    steering = bytes(chance.choice(pair) for pair in zip(now, following, strict=True))
    dead = chance.sample(members, chance.randint(1, len(members) - 1))
    corpses = [
        Corpse(worker(each, chance.randint(0, 99), chance.choice("ab")), chance.choice(["", "/s"])) for each in dead
    ]
    survivors = [worker(each, chance.randint(0, 99), chance.choice("ab")) for each in members if each not in dead]
    plan = plan_view(corpses, survivors, Maps(whole(now), whole(following), steering))
    alive = {each.member for each in survivors}
    assert set(plan.mint) <= alive
    assert set(plan.steering) <= alive
    assert set(plan.adopters.values()) <= alive
    assert set(plan.adopters) <= {each.worker.member for each in corpses if each.slab_directory}
    assert all(plan.steering[slot] == steering[slot] for slot in range(256) if steering[slot] in alive)
    hosts = {each.member: each.host for each in survivors} | {each.worker.member: each.worker.host for each in corpses}
    assert all(hosts[member] == hosts[adopter] for member, adopter in plan.adopters.items())


def tokens(owner: bytes) -> dict[int, bytes]:
    found = {}
    for member in set(owner):
        bits = bytearray(SLOTS // 8)
        for slot, each in enumerate(owner):
            if each == member:
                bits[slot // 8] |= 1 << slot % 8
        found[member] = bytes(bits)
    return found


def test_the_map_is_what_the_tokens_say() -> None:
    mixed = bytes(random.Random(1).choices(range(5), k=SLOTS))
    assert owners(tokens(mixed)) == mixed


def test_a_token_that_is_nowhere_or_there_twice_is_an_error() -> None:
    held = tokens(whole(THREE))
    with pytest.raises(TokensError, match="at nobody"):
        owners({member: bits for member, bits in held.items() if member})
    with pytest.raises(TokensError, match="the token of slot"):
        owners(held | {5: held[0]})
    with pytest.raises(TokensError, match="answers with 8 tokens"):
        owners({0: b"\xff"})
