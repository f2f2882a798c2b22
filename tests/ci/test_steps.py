# SPDX-License-Identifier: BSD-3-Clause
"""A run leaves nothing behind: neither what a step detaches, nor what is under way when a signal comes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DETACHES = "setsid sleep 300 & echo $! > {file}; echo started > {fifo}; {then}"


def start(tmp_path: Path, then: str) -> subprocess.Popen[bytes]:
    os.mkfifo(tmp_path / "fifo")
    script = DETACHES.format(file=tmp_path / "pid", fifo=tmp_path / "fifo", then=then)
    program = (
        "import sys; from tests.ci.steps import Step, run_until_failure;"
        f"sys.exit(run_until_failure([lambda run: run.step(Step('x', ['sh', '-c', {script!r}], 60))]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    (tmp_path / "fifo").read_text()
    return process


def lives(tmp_path: Path) -> bool:
    return Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_detached_process_ends_with_its_step(tmp_path: Path) -> None:
    process = start(tmp_path, "exit 3")
    assert process.wait(30) == 3
    assert not lives(tmp_path)


def test_interrupt_ends_all(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep 300")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT
    assert not lives(tmp_path)
