# SPDX-License-Identifier: BSD-3-Clause
import os
from pathlib import Path

import pytest

from shoal import eal_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with hugepages, and a process 7."""
    for folder in ("proc/7", "dev/hugepages", "directory"):
        (tmp_path / folder).mkdir(parents=True)
    eal_files.runtime_root(tmp_path).mkdir(parents=True)
    (tmp_path / "proc/mounts").write_text("none /dev/hugepages hugetlbfs rw 0 0\n")
    return tmp_path


def leave(root: Path, name: str) -> None:
    """As DPDK does."""
    runtime = eal_files.runtime_root(root) / name
    runtime.mkdir()
    (runtime / "config").touch()
    (root / f"dev/hugepages/{name}map_0").touch()


def test_names_differ_between_processes() -> None:
    name = eal_files.prefix(0xAB, "nat-1")
    assert name == f"shoal-ab-nat-1-{os.getpid()}"
    assert eal_files.PREFIX.match(name)


def test_who_ends_a_process_removes_what_was_its_own(root: Path) -> None:
    mine, other = "shoal-1-nat-1-8", "shoal-1-nat-1-80"
    for name in (mine, other):
        leave(root, name)
    eal_files.note(root / "directory", mine, root)
    eal_files.remove_noted(root / "directory", root)
    assert list(eal_files.belonging(mine, root)) == []
    assert len(list(eal_files.belonging(other, root))) == 2
    assert list((root / "directory").iterdir()) == []


def test_who_follows_in_a_directory_removes_what_the_one_before_it_left(root: Path) -> None:
    killed, alive = "shoal-1-splitter-8", "shoal-1-splitter-7"
    for name in (killed, alive):
        leave(root, name)
    eal_files.note(root / "directory", killed, root)
    eal_files.note(root / "directory", alive, root)
    assert list(eal_files.belonging(killed, root)) == []
    eal_files.note(root / "directory", "shoal-1-splitter-9", root)
    assert len(list(eal_files.belonging(alive, root))) == 2


def test_a_word_that_is_not_ours_removes_nothing(root: Path) -> None:
    leave(root, "rte")
    for word in ("rte", "", "../../x", "shoal-1-nat-1-8/../rte"):
        eal_files.note(root / "directory", word, root)
        eal_files.remove_noted(root / "directory", root)
    assert len(list(eal_files.belonging("rte", root))) == 2


def test_directories_of_processes_that_have_ended_are_stale(root: Path) -> None:
    for name in ("shoal-1-nat-1-7", "shoal-1-nat-2-8", "rte"):
        leave(root, name)
    assert [path.name for path in eal_files.stale(root)] == ["shoal-1-nat-2-8"]
