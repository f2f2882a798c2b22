# SPDX-License-Identifier: BSD-3-Clause
"""The same input to one instance, and to a number that changes at random: for each flow the same output, the same drops
by name. And whatever is spoiled is found.

Each of the inputs meets several schedules; SHOAL_EQUIVALENCE_SCHEDULES is how many, SHOAL_EQUIVALENCE_FIRST the seed of
the first one. SHOAL_EQUIVALENCE_RUN names another build of the program.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from shoal.verify import capture
from shoal.verify.allocation import Idle
from shoal.verify.equivalence import compare_checked
from shoal.verify.report import Fault, Report
from shoal.verify.run import load
from shoal.verify.translation import Rules, Translation
from tests.equivalence.cluster import scripts
from tests.equivalence.cluster.frames import ICMP, TCP, UDP, checksum
from tests.equivalence.cluster.traffic import PHASES_S, PUBLIC, Traffic, make

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(os.environ.get("SHOAL_EQUIVALENCE_RUN", ROOT / "build/tests/equivalence/cluster/equivalence_run"))
INPUTS = range(1, 6)
SCHEDULES = int(os.environ.get("SHOAL_EQUIVALENCE_SCHEDULES", "6"))
FIRST = int(os.environ.get("SHOAL_EQUIVALENCE_FIRST", "1"))
# Schedules in which a fault is tried until it has struck twice.
FAULT_SCHEDULES = 8
INSTANCES = 4
DEADLINE_S = 60
# nfs/nat/README.md; a mapping ends within a turn of the timer wheel, 131 s, of its idle time.
RULES = Rules(
    public=frozenset(int(IPv4Address(address)) for address in PUBLIC),
    idle={
        UDP: Idle(300 * 10**9, 431 * 10**9),
        ICMP: Idle(60 * 10**9, 191 * 10**9),
        TCP: Idle(60 * 10**9, 7571 * 10**9),
    },
)


@dataclass(frozen=True)
class Input:
    """Captures to feed, and what one instance makes of them."""

    traffic: Traffic
    folder: Path
    one: Path
    checked: Translation


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Input]:
    """The input of a seed, made once."""

    @cache
    def made(seed: int) -> Input:
        folder = tmp_path_factory.mktemp(f"input-{seed}")
        traffic = make(seed, scripts.ALL)
        traffic.save(folder)
        one = feed(folder, folder / "one", seed=seed, instances=1)
        return Input(traffic, folder, one, check(one))

    return made


def feed(captures: Path, folder: Path, *, seed: int, instances: int = INSTANCES, fault: str = "none") -> Path:
    """Lets the program run; the folder of the run."""
    assert PROGRAM.exists(), f"{PROGRAM} is not there; `ninja -C build` makes it"
    folder.mkdir()
    command = [str(PROGRAM), str(captures), str(folder), str(seed), str(instances), fault]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, f"seed {seed}: status {done.returncode}\n{done.stderr}"
    return folder


def check(run: Path) -> Translation:
    return Translation(load(run, RULES.public), RULES).check()


def judge(source: Input, many: Path) -> Report:
    return compare_checked(source.checked, check(many))


def books(run: Path) -> tuple[Counter[str], dict[str, int]]:
    document = json.loads((run / "books.json").read_text())
    return +Counter(document["drops"]), document["counters"]


def assert_accounted(run: Path, traffic: Traffic) -> dict[str, int]:
    """All was sent, what had to be dropped was dropped for the right reason, and nothing of the NAT's state is left."""
    drops, counters = books(run)
    assert counters["packets_skipped"] == 0
    assert counters["packets_sent"] == traffic.count
    assert drops == traffic.drops
    assert counters["nat_mappings_created_total"] == counters["nat_mappings_expired_total"]
    for counter in "nat_orphans_removed_total", "nat_ports_leaked_total", "nat_port_conflicts_total":
        assert counters[counter] == 0, counter
    return counters


@pytest.mark.timeout(60 + 10 * SCHEDULES)
@pytest.mark.parametrize("number", INPUTS)
def test_many_instances_send_what_one_does(number: int, given: Callable[[int], Input], tmp_path: Path) -> None:
    source = given(number)
    assert assert_accounted(source.one, source.traffic)["nat_ports_borrowed_total"] > 0
    for schedule in range(SCHEDULES):
        seed = FIRST + schedule + 1000 * number
        many = feed(source.folder, tmp_path / str(seed), seed=seed)
        report = judge(source, many)
        assert report.good, f"seed {seed}:\n{report.to_text()}"
        assert report.checked["many_flows"] > 1000
        counters = assert_accounted(many, source.traffic)
        for what in "objects_moved", "takes_remote", "packets_suspended", "packets_parked_most":
            assert counters[what] > 0, f"seed {seed}: {what}"
        assert counters["events"] >= 5, f"seed {seed}"


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("drop", Fault.LOST),
        ("copy", Fault.DUPLICATED),
        ("swap", Fault.REORDERED),
        ("payload", Fault.CORRUPTED),
        ("checksum", Fault.CHECKSUM),
        ("mapping", Fault.MAPPING_CHANGED),
        ("delivery", Fault.MISDELIVERED),
    ],
)
def test_fault_is_found(fault: str, found: Fault, given: Callable[[int], Input], tmp_path: Path) -> None:
    """A swap needs a packet whose flow has another one behind it: not each schedule ends with such a one."""
    source = given(INPUTS[0])
    struck = 0
    for seed in range(FIRST, FIRST + FAULT_SCHEDULES):
        many = feed(source.folder, tmp_path / str(seed), seed=seed, fault=fault)
        if not books(many)[1]["fault_struck"]:
            continue
        report = judge(source, many)
        assert found in report.counts, f"seed {seed}:\n{report.to_text()}"
        struck += 1
        if struck == 2:
            return
    raise AssertionError(f"{fault} struck in {struck} of {FAULT_SCHEDULES} schedules")


def test_drop_under_another_name_is_found(given: Callable[[int], Input], tmp_path: Path) -> None:
    source = given(INPUTS[0])
    many = feed(source.folder, tmp_path / "many", seed=FIRST)
    rename = json.loads((many / "books.json").read_text())
    rename["drops"]["no_mapping"] -= 1
    rename["drops"]["table_full"] += 1
    (many / "books.json").write_text(json.dumps(rename))
    assert judge(source, many).counts == {Fault.DROPS_DIFFER: 2}


def test_drop_without_a_name_is_found(given: Callable[[int], Input], tmp_path: Path) -> None:
    source = given(INPUTS[0])
    many = feed(source.folder, tmp_path / "many", seed=FIRST)
    unnamed = json.loads((many / "books.json").read_text())
    unnamed["drops"]["no_mapping"] -= 1
    (many / "books.json").write_text(json.dumps(unnamed))
    assert judge(source, many).counts == {Fault.DROPS_DIFFER: 1, Fault.BOOKS: 1}


def test_connection_that_loses_its_mapping_in_a_silence_is_found(given: Callable[[int], Input], tmp_path: Path) -> None:
    """As if its object had lost its last-seen time on the way to another instance: consistent in itself, but one
    instance would have kept it."""
    source = given(INPUTS[0])
    many = feed(source.folder, tmp_path / "many", seed=FIRST)
    public = next(long_connections(many))
    for name, port_place, address_place in (("outside-out", 34, 26), ("outside-in", 36, 30)):
        path = many / f"{name}.pcap"
        records = list(capture.read(path))
        capture.write(path, (moved(record, public, address_place, port_place) for record in records))
    assert Fault.MAPPING_CHANGED in judge(source, many).counts


def long_connections(run: Path) -> Iterator[bytes]:
    """Public endpoints that speak to a port 443 before and after the first silence, as address and port."""
    before = set()
    for record in capture.read(run / "outside-out.pcap"):
        frame = record.frame
        if frame[12:15] != b"\x08\x00\x45" or frame[23] != TCP or frame[36:38] != (443).to_bytes(2, "big"):
            continue
        if record.time_ns < PHASES_S[1] * 10**9:
            before.add(frame[26:30] + frame[34:36])
        elif record.time_ns < PHASES_S[2] * 10**9 and frame[26:30] + frame[34:36] in before:
            yield frame[26:30] + frame[34:36]


def moved(record: capture.Record, public: bytes, address_place: int, port_place: int) -> capture.Record:
    """After the first silence, the public endpoint's port is another; TCP alone."""
    frame = record.frame
    here = frame[address_place : address_place + 4] + frame[port_place : port_place + 2]
    if frame[12:15] != b"\x08\x00\x45" or frame[23] != TCP or here != public or record.time_ns < PHASES_S[1] * 10**9:
        return record
    port = (int.from_bytes(public[4:], "big") ^ 0x8000).to_bytes(2, "big")
    end = 14 + int.from_bytes(frame[16:18], "big")
    bare = frame[:port_place] + port + frame[port_place + 2 :]
    bare = bare[:50] + b"\0\0" + bare[52:]
    pseudo = bare[26:34] + b"\0\6" + (end - 34).to_bytes(2, "big")
    value = checksum(pseudo + bare[34:end]).to_bytes(2, "big")
    return capture.Record(record.time_ns, bare[:50] + value + bare[52:])
