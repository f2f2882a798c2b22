# SPDX-License-Identifier: BSD-3-Clause
"""Two runs that differ in what was allocated only are equivalent; anything else is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from shoal.verify.conftest import Scenario, udp
from shoal.verify.equivalence import compare
from shoal.verify.main import main
from shoal.verify.report import Fault, Report
from shoal.verify.run import load
from shoal.verify.translation import Rules

Make = Callable[..., Scenario]


def judge(one: Scenario, many: Scenario, folder: Path) -> Report:
    return compare(load(one.save(folder / "one")), load(many.save(folder / "many")), Rules())


def swap(made: Scenario, name: str, first: int, second: int) -> None:
    frames = made.frames[name]
    frames[first], frames[second] = (frames[first][0], frames[second][1]), (frames[second][0], frames[first][1])


def test_other_allocation_and_other_order_between_flows_are_equivalent(scenario: Make, tmp_path: Path) -> None:
    one, many = scenario(seed=1), scenario(seed=2)
    assert one.mapped != many.mapped
    swap(many, "outside-out", 40, 41)
    many.frames["outside-out"] = [(time * 3, frame) for time, frame in many.frames["outside-out"]]
    assert judge(one, many, tmp_path).findings == []
    assert main(["equivalence", str(tmp_path / "one"), str(tmp_path / "many")]) == 0


def test_what_both_lost_is_no_difference(scenario: Make, tmp_path: Path) -> None:
    one, many = scenario(seed=1), scenario(seed=2)
    del one.frames["outside-out"][33], many.frames["outside-out"][33]
    assert judge(one, many, tmp_path).good


def test_loss_by_many(scenario: Make, tmp_path: Path) -> None:
    one, many = scenario(seed=1), scenario(seed=2)
    del many.frames["outside-out"][33]
    assert judge(one, many, tmp_path).counts == {Fault.LOST: 1}
    assert main(["equivalence", str(tmp_path / "one"), str(tmp_path / "many")]) == 1


def test_order_within_a_flow(scenario: Make, tmp_path: Path) -> None:
    one, many = scenario(seed=1), scenario(seed=2)
    _, port = many.mapped["udp", "16.0.0.3", 5000]
    places = [
        index
        for index, (_, frame) in enumerate(many.frames["outside-out"])
        if UDP in Ether(frame) and Ether(frame)[UDP].sport == port
    ]
    swap(many, "outside-out", places[4], places[5])
    assert judge(one, many, tmp_path).counts[Fault.REORDERED] == 2


def test_copy_by_many(scenario: Make, tmp_path: Path) -> None:
    one, many = scenario(seed=1), scenario(seed=2)
    many.frames["inside-out"].insert(10, many.frames["inside-out"][9])
    assert judge(one, many, tmp_path).counts == {Fault.DUPLICATED: 1}


def test_mapping_that_only_many_gave_up(scenario: Make, tmp_path: Path) -> None:
    one, many = scenario(seed=1), scenario(seed=2)
    for made in (one, many):
        if made is many:
            made.mapped["udp", "16.0.0.1", 5000] = (made.mapped["udp", "16.0.0.1", 5000][0], 1030)
        made.outbound(udp(1, 99))
    assert judge(one, many, tmp_path).counts[Fault.MAPPING_CHANGED] == 2


def test_changed_payload(scenario: Make, tmp_path: Path) -> None:
    one, many = scenario(seed=1), scenario(seed=2)
    time, frame = many.frames["outside-out"][0]
    packet = Ether(frame)
    packet[Raw].load = b"C" + packet[Raw].load[1:]
    packet[UDP].chksum = None
    many.frames["outside-out"][0] = time, bytes(packet)
    assert judge(one, many, tmp_path).counts[Fault.CORRUPTED] == 1


def test_runs_with_different_input(scenario: Make, tmp_path: Path) -> None:
    one, many = scenario(seed=1), scenario(seed=2)
    extra = udp(1, 99)
    extra[IP].tos, extra[IP].chksum = 4, None
    many.outbound(Ether(bytes(extra)))
    assert judge(one, many, tmp_path).counts[Fault.INPUTS_DIFFER] == 1
