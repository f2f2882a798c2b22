# SPDX-License-Identifier: BSD-3-Clause
"""A short demo on real processes: its verdict, its document, its picture; nothing stays behind, also after Ctrl-C."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SHOAL = str(Path(sys.executable).with_name("shoal"))
SHORT = ("--phase", "2", "--rate", "20000", "--flows", "2000", "--new-flows", "500")
ENDED_S = 60


def processes_of(folder: Path) -> dict[int, str]:
    """Command lines of processes that name the folder, by process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found[int(path.parent.name)] = command
    return found


def left_over(folder: Path) -> list[str]:
    return list(processes_of(folder).values())


class Traces:
    """What a demo's processes make outside of its folder: DPDK's runtime directories and hugepage files, and slabs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: set[int] = set()
        self._digests: set[str] = set()
        # What lay there before: process numbers come round again.
        self._older = set(Path("/var/run/dpdk").glob("*"))

    def look(self) -> None:
        self._processes |= set(processes_of(self._folder))
        for instance in self._folder.glob("shoal-demo-*/run/instances/*"):
            self._digests.add(hashlib.sha256(str(instance).encode()).hexdigest()[:16])

    def found(self) -> list[Path]:
        prefixes = [f"shoal-*-{process}" for process in self._processes]
        names = [f"{prefix}map_*" for prefix in prefixes] + [f"shoal-{digest}-*" for digest in self._digests]
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
        memory = {Path(point) for point, kind in mounts if kind == "hugetlbfs"} | {Path("/dev/shm")}
        return [
            *(path for prefix in prefixes for path in set(Path("/var/run/dpdk").glob(prefix)) - self._older),
            *(path for place in memory for name in names for path in place.glob(name)),
        ]


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(folder)}


def without_hugepages(directory: Path) -> list[str]:
    """What a command is put behind to be run where the kernel says that no hugepage is free."""
    meminfo = directory / "meminfo"
    text = Path("/proc/meminfo").read_text()
    meminfo.write_text(re.sub(r"^(HugePages_(?:Total|Free):\s+)\d+", r"\g<1>0", text, flags=re.MULTILINE))
    script = f'mount --bind {meminfo} /proc/meminfo && rm {meminfo} && exec "$0" "$@"'
    return ["unshare", "--mount", "sh", "-c", script]


@pytest.mark.timeout(150)
@pytest.mark.parametrize("hugepages", [True, False], ids=["hugepages", "ordinary memory"])
def test_nothing_is_lost_and_everything_moves(directory: Path, hugepages: bool) -> None:
    figures, picture = directory / "demo.json", directory / "demo.png"
    command = [] if hugepages else without_hugepages(directory)
    command += [SHOAL, "demo", *SHORT, "--json", str(figures), "--picture", str(picture)]
    answer = subprocess.run(command, env=environment(directory), capture_output=True, text=True, timeout=140)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    document = json.loads(figures.read_text())
    assert [document[key] for key in ("loss_packets", "order_violations", "mapping_violations")] == [0, 0, 0]
    assert [phase["instances"] for phase in document["phases"]] == [1, 2, 3, 1]
    assert [event["kind"] for event in document["events"]] == ["1 → 2", "2 → 3", "3 → 1"]
    for event in document["events"]:
        assert event["slots_moved"] > 0
        assert event["objects_moved"] > 0
    assert len({instance["pid"] for instance in document["instances"]}) == 3
    assert all(instance["packets"] > 0 for instance in document["instances"])
    balance = document["balance"]
    assert balance["sent"] == balance["received"] + sum(balance["drops"].values()) > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert left_over(directory) == []
    assert sorted(path.name for path in directory.iterdir()) == ["demo.json", "demo.png"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("processes", "data_planes", "number"),
    [
        (1, 0, signal.SIGINT),
        (2, 0, signal.SIGTERM),
        (2, 1, signal.SIGINT),
        (3, 1, signal.SIGINT),
        (3, 2, signal.SIGINT),
        (3, 2, signal.SIGHUP),
    ],
)
def test_signals_leave_nothing(directory: Path, processes: int, data_planes: int, number: signal.Signals) -> None:
    """A signal once so many processes of the deployment have come up, and DPDK has begun to start in so many of them:
    in the middle of its start. And a second one."""
    traces = Traces(directory)
    command = [SHOAL, "demo", *SHORT, "--picture", str(directory / "demo.png")]
    demo = subprocess.Popen(command, env=environment(directory), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while len(left_over(directory / "shoal-demo-")) < processes or len(traces.found()) < data_planes:
        assert demo.poll() is None, demo.communicate()
        traces.look()
    demo.send_signal(number)
    demo.send_signal(number)
    while demo.poll() is None:
        traces.look()
    assert demo.wait(ENDED_S) == 128 + number
    assert left_over(directory) == []
    assert traces.found() == []
    assert list(directory.iterdir()) == []


def test_what_cannot_be_run_is_said_in_a_line(directory: Path) -> None:
    """More mappings than an instance may have room for: the controller refuses the demo's own file."""
    many = ("--rate", "100000000", "--new-flows", "30000000", "--flows", "1")
    answer = subprocess.run(
        [SHOAL, "demo", *many], env=environment(directory), capture_output=True, text=True, timeout=ENDED_S
    )
    assert answer.returncode not in (0, 1)
    assert "instances.objects" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert left_over(directory) == []
    assert list(directory.iterdir()) == []
