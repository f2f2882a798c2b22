# SPDX-License-Identifier: BSD-3-Clause
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from shoal import eal_files
from shoal.doctor import directories, machine
from shoal.doctor.finding import Finding, Severity
from shoal.run_directory import RunDirectory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's files, as the checks read them: all well."""
    for folder in ("proc/self", "sys/class/net/eth0", "dev/hugepages", "usr/lib/x/dpdk/pmds-23.0"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("HugePages_Free:     1024\nHugepagesize:       2048 kB\n")
    (tmp_path / "proc/mounts").write_text("none /dev/hugepages hugetlbfs rw 0 0\n")
    (tmp_path / "proc/self/status").write_text("CapEff:\t000001ffffffffff\n")
    (tmp_path / "sys/class/net/eth0/operstate").write_text("up\n")
    (tmp_path / "usr/lib/x/dpdk/pmds-23.0/librte_net_null.so.23").touch()
    return tmp_path


def severities(findings: Iterable[Finding]) -> list[Severity]:
    return [finding.severity for finding in findings]


CHECKS = (machine.hugepages, machine.hugepage_files, machine.dpdk, machine.ports, machine.permissions)


def test_a_fit_machine_has_no_fault_and_no_remark(root: Path) -> None:
    for check in CHECKS:
        assert set(severities(check(root))) == {Severity.GOOD}, check


def test_each_fault_comes_with_its_remedy(root: Path) -> None:
    (root / "proc/meminfo").write_text("HugePages_Free: 1\nHugepagesize: 2048 kB\n")
    (root / "proc/mounts").write_text("")
    (root / "proc/self/status").write_text("CapEff:\t0000000000000000\n")
    (root / "sys/class/net/eth0/operstate").write_text("down\n")
    (root / "usr/lib/x/dpdk/pmds-23.0/librte_net_null.so.23").unlink()
    found = [finding for check in CHECKS for finding in check(root) if finding.severity is not Severity.GOOD]
    assert [finding.subject for finding in found] == [
        "hugepages",
        "hugetlbfs",
        "DPDK's drivers",
        "ports",
        "permissions",
    ]
    assert all(finding.remedy for finding in found)
    assert [finding.subject for finding in found if finding.severity is Severity.FAULT] == ["DPDK's drivers"]


def test_a_hugepage_file_that_nobody_maps_is_told(root: Path) -> None:
    (root / "dev/hugepages/shoalmap_0").touch()
    assert severities(machine.hugepage_files(root)) == [Severity.REMARK]
    (root / "proc/7").mkdir()
    (root / "proc/7/maps").write_text("7f00-7f01 rw-s 0 00:1 1 /dev/hugepages/shoalmap_0\n")
    assert severities(machine.hugepage_files(root)) == [Severity.GOOD]


def test_a_run_directory_open_to_others_is_a_fault(run_directory: RunDirectory) -> None:
    directory = run_directory
    assert severities(directories.run_directory(directory)) == [Severity.GOOD]
    directory.create()
    assert severities(directories.run_directory(directory)) == [Severity.GOOD]
    directory.path.chmod(0o755)
    assert severities(directories.run_directory(directory)) == [Severity.FAULT]


def test_what_a_crash_left_is_told(run_directory: RunDirectory) -> None:
    directory = run_directory
    directory.create()
    instance = directory.instance("nat-1")
    instance.path.mkdir()
    instance.pid_file.write_text('{"pid": 1, "start_ticks": 1}')
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(instance.socket))
    assert severities(directories.processes(directory)) == [Severity.REMARK]
    assert severities(directories.sockets(directory)) == [Severity.REMARK]


def test_a_socket_with_a_listener_is_good(run_directory: RunDirectory) -> None:
    directory = run_directory
    directory.create()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(directory.controller.peers))
        listener.listen()
        assert severities(directories.sockets(directory)) == [Severity.GOOD]


def test_slabs_that_nobody_maps_are_told_with_their_life_and_how_to_clean_up(
    root: Path, run_directory: RunDirectory
) -> None:
    assert severities(machine.slab_directories(run_directory.path, root)) == [Severity.GOOD]
    left = root / "dev/hugepages/shoal-0123456789abcdef-7"
    left.mkdir()
    (left / "nat.mapping.slab").write_bytes(bytes(3 << 20))
    [found] = machine.slab_directories(run_directory.path, root)
    assert found.severity is Severity.REMARK
    assert "life 7" in found.text
    assert "3 MiB" in found.text
    assert found.remedy == f"rm -r {left}"
    # One that a living instance has mapped is no fault, nor is it a hugepage file left behind.
    (root / "proc/7").mkdir()
    (root / "proc/7/maps").write_text(f"7f00-7f01 rw-s 0 00:1 1 /dev/hugepages/{left.name}/nat.mapping.slab\n")
    assert severities(machine.slab_directories(run_directory.path, root)) == [Severity.GOOD]
    assert severities(machine.hugepage_files(root)) == [Severity.GOOD]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_what_another_user_has_is_not_judged(root: Path) -> None:
    """Who has it mapped can't be seen, so that all of it would look left behind; nor can its size."""
    with tempfile.TemporaryDirectory(prefix="shoal-", dir="/tmp") as folder:  # others' way to the tests' own is closed
        open_root, run_directory = Path(folder), Path(folder) / "run"
        shutil.copytree(root, open_root, dirs_exist_ok=True)
        open_root.chmod(0o755)
        run_directory.mkdir(exist_ok=True)
        (open_root / "dev/hugepages/shoal-0123456789abcdef-7").mkdir(mode=0o700)
        (open_root / "dev/hugepages/shoalmap_0").touch()
        assert severities(machine.hugepage_files(open_root)) == [Severity.REMARK]
        assert severities(machine.slab_directories(run_directory, open_root)) == [Severity.REMARK]
        os.seteuid(12345)
        try:
            assert severities(machine.hugepage_files(open_root)) == [Severity.GOOD]
            assert severities(machine.slab_directories(run_directory, open_root)) == [Severity.GOOD]
        finally:
            os.seteuid(0)


def test_shared_memory_that_nobody_maps_is_told(root: Path) -> None:
    (root / "dev/shm").mkdir()
    (root / "dev/shm/other").touch()
    assert severities(machine.shared_memory(root)) == [Severity.GOOD]
    (root / "dev/shm/shoal-world-7").touch()
    [found] = machine.shared_memory(root)
    assert (found.severity, found.remedy) == (Severity.REMARK, f"rm -r {root}/dev/shm/shoal-world-7")
    (root / "proc/7").mkdir()
    (root / "proc/7/maps").write_text("7f00-7f01 rw-s 0 00:1 1 /dev/shm/shoal-world-7\n")
    assert severities(machine.shared_memory(root)) == [Severity.GOOD]


def test_dpdk_directories_of_ended_processes_are_told_in_one_line_where_there_are_many(root: Path) -> None:
    folder = eal_files.runtime_root(root)
    (root / "proc/7").mkdir()
    (folder / "shoal-1-nat-1-7").mkdir(parents=True)
    assert severities(machine.runtime_directories(root)) == [Severity.GOOD]
    for process in range(100, 103):
        (folder / f"shoal-1-nat-1-{process}").mkdir()
    assert severities(machine.runtime_directories(root)) == [Severity.REMARK] * 3
    for process in range(200, 300):
        (folder / f"shoal-1-nat-1-{process}").mkdir()
    [found] = machine.runtime_directories(root)
    assert "103 in" in found.text
    subprocess.run(["sh", "-c", found.remedy.replace("/proc/", f"{root}/proc/")], check=True)
    assert [path.name for path in folder.iterdir()] == ["shoal-1-nat-1-7"]


def test_a_directory_without_a_process_is_told(run_directory: RunDirectory) -> None:
    run_directory.create()
    assert severities(directories.forsaken(run_directory)) == [Severity.GOOD]
    (run_directory.path / "instances/nat-3").mkdir()
    [found] = directories.forsaken(run_directory)
    assert (found.severity, "shoal down" in found.remedy) == (Severity.REMARK, True)
