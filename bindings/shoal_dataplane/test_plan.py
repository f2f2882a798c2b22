# SPDX-License-Identifier: BSD-3-Clause
import pytest

from shoal_dataplane import SLOTS, Plan
from shoal_dataplane.door import ffi
from shoal_dataplane.plan import bits_of, no_owner, to_bits


def plan(owner_next: bytes) -> Plan:
    return Plan(
        term=3,
        epoch_now=1,
        epoch_next=2,
        owner_now=bytes(SLOTS),
        owner_next=owner_next,
        members_now={0: 7},
        members_next={0: 7, 5: 9},
        expected_objects=[3, 4],
    )


def test_a_plan_crosses_with_every_field() -> None:
    native = plan(bytes([5]) * SLOTS).to_native()
    assert (native.term, native.epoch_now, native.epoch_next) == (3, 1, 2)
    assert bytes(ffi.buffer(native.owner_now)) == bytes(SLOTS)
    assert bytes(ffi.buffer(native.owner_next)) == bytes([5]) * SLOTS
    assert [number for number, flag in enumerate(native.in_now) if flag] == [0]
    assert [number for number, flag in enumerate(native.in_next) if flag] == [0, 5]
    assert (native.life[0], native.life[5]) == (7, 9)
    assert list(native.expected_objects)[:3] == [3, 4, 0]


def test_a_map_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="16384 entries"):
        plan(b"\0").to_native()


def test_before_the_first_plan_no_member_owns_a_slot() -> None:
    assert set(no_owner()) == {255}


def test_bits_and_numbers_mirror_each_other() -> None:
    numbers = frozenset({0, 7, 8, 255})
    assert bits_of(to_bits(numbers)) == numbers
