# SPDX-License-Identifier: BSD-3-Clause
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shoal.errors import RefusedError
from shoal.run_directory import (
    ProcessIdentity,
    RunDirectory,
    make_private,
    read_pid_file,
    write_pid_file,
)


def test_directories_are_private(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    RunDirectory(tmp_path / "run").create()
    for path in (tmp_path / "run", tmp_path / "run" / "instances"):
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_serves_others_stays_as_it_is(run_directory: RunDirectory) -> None:
    run_directory.path.mkdir(mode=0o755)
    (run_directory.path / "photographs").touch()
    with pytest.raises(RefusedError, match="open to others and not empty"):
        run_directory.create()
    assert run_directory.path.stat().st_mode & 0o777 == 0o755


def test_only_where_a_deployment_was_anything_is_taken_down(run_directory: RunDirectory) -> None:
    assert not run_directory.served()
    run_directory.create()
    for name in ("pid", "log", "instances/mine"):  # of a user's own
        (run_directory.path / name).touch()
    assert not run_directory.served()
    run_directory.store.touch()
    assert run_directory.served()
    run_directory.path.chmod(0o755)
    assert not run_directory.served()
    assert not RunDirectory(run_directory.store).served()


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="too long"):
        RunDirectory(tmp_path / ("x" * 100)).create()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(RefusedError, match="belongs to user 12345"):
        make_private(tmp_path)


def test_a_pid_file_names_this_process_and_no_later_one(tmp_path: Path) -> None:
    write_pid_file(tmp_path / "pid")
    identity = read_pid_file(tmp_path / "pid")
    assert identity is not None
    assert identity.lives
    assert not ProcessIdentity(identity.pid, identity.start_ticks + 1).lives


@pytest.mark.parametrize("content", ["", "{}", "42", '{"pid": "x", "start_ticks": 1}'])
def test_what_is_no_pid_file_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    assert read_pid_file(tmp_path / "pid") is None


def test_a_signal_reaches_the_process_that_was_meant() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        identity = ProcessIdentity.of(child.pid)
        assert identity is not None
        ProcessIdentity(identity.pid, identity.start_ticks + 1).send_signal(signal.SIGKILL)
        assert identity.lives
        identity.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        identity.send_signal(signal.SIGKILL)
        assert not identity.lives
