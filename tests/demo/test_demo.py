# SPDX-License-Identifier: BSD-3-Clause
"""A short demo on real processes: its verdict, its document, its picture; nothing stays behind, also after Ctrl-C."""

from __future__ import annotations

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


def left_over(folder: Path) -> list[str]:
    """Command lines of processes that still name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


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
    ("processes", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM), (3, signal.SIGINT), (3, signal.SIGHUP)]
)
def test_signals_leave_nothing(directory: Path, processes: int, number: signal.Signals) -> None:
    """A signal once so many processes of the deployment have come up: in the middle of its start. And a second one."""
    command = [SHOAL, "demo", *SHORT, "--picture", str(directory / "demo.png")]
    demo = subprocess.Popen(command, env=environment(directory), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while len(left_over(directory / "shoal-demo-")) < processes:
        assert demo.poll() is None, demo.communicate()
    demo.send_signal(number)
    demo.send_signal(number)
    assert demo.wait(ENDED_S) == 128 + number
    assert left_over(directory) == []
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
