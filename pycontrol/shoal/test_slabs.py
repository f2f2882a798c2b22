# SPDX-License-Identifier: BSD-3-Clause
from pathlib import Path

import pytest

from shoal import slabs
from shoal.errors import InvalidRequestError
from shoal.run_directory import ProcessDirectory, make_private

MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
tmpfs /run tmpfs rw 0 0
none /dev/hugepages hugetlbfs rw,pagesize=2M 0 0
none /dev/giant hugetlbfs rw,pagesize=1024M 0 0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's mounts."""
    for folder in ("proc", "dev/shm", "dev/hugepages", "dev/giant", "run", "var/shoal/instances/nat-1"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/mounts").write_text(MOUNTS)
    return tmp_path


def test_hugepages_come_first_and_those_of_one_gibibyte_not_at_all(root: Path) -> None:
    places = [path.parent for path in slabs.candidates(root / "var/shoal/instances/nat-1", 7, root)]
    assert places == [root / "dev/hugepages", root / "dev/shm"]


def test_where_the_instance_has_memory_its_slabs_lie_there(root: Path) -> None:
    instance = root / "run/shoal/instances/nat-1"
    assert [path.parent for path in slabs.candidates(instance, 7, root)] == [root / "dev/hugepages", instance]


def test_without_hugepages_there_is_memory(root: Path) -> None:
    (root / "proc/mounts").write_text("/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n")
    places = [path.parent for path in slabs.candidates(root / "var/shoal/instances/nat-1", 7, root)]
    assert places == [root / "dev/shm"]


def test_each_life_of_each_instance_has_its_own(root: Path) -> None:
    first, second = root / "var/shoal/instances/nat-1", root / "other/instances/nat-1"
    names = [slabs.candidates(instance, life, root)[-1].name for instance in (first, second) for life in (7, 8)]
    assert len(set(names)) == 4
    assert slabs.candidates(first, 7, root) == slabs.candidates(first, 7, root)


def test_they_go_with_the_instance_s_directory(tmp_path: Path) -> None:
    instance, directory = tmp_path / "nat-1", tmp_path / "shoal-0123456789abcdef-7"
    for each in (instance, directory):
        make_private(each)
    (directory / "nat.mapping.slab").write_bytes(b"x")
    slabs.note(instance, directory)
    assert slabs.noted(instance) == directory
    ProcessDirectory(instance).remove()
    assert not instance.exists()
    assert not directory.exists()


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    """Whatever the link says."""
    instance, other = tmp_path / "nat-1", tmp_path / "precious"
    for each in (instance, other):
        make_private(each)
    slabs.link(instance).symlink_to(other)
    assert slabs.noted(instance) is None
    slabs.remove(other)
    ProcessDirectory(instance).remove()
    assert other.exists()


def test_a_directory_that_is_not_ours_alone_is_refused(tmp_path: Path) -> None:
    directory = make_private(tmp_path / "shoal-0123456789abcdef-7")
    assert slabs.check_ours(str(directory)) == directory
    (tmp_path / "shoal-0123456789abcdef-8").symlink_to(directory)
    for path, reason in (
        (str(tmp_path / "shoal-0123456789abcdef-9"), "No such file"),
        (str(tmp_path / "shoal-0123456789abcdef-8"), "is no directory"),
        (str(tmp_path), "no directory of slabs"),
        (f"{tmp_path}/../{tmp_path.name}/{directory.name}", "no directory of slabs"),
        (directory.name, "no directory of slabs"),
    ):
        with pytest.raises(InvalidRequestError, match=reason):
            slabs.check_ours(path)
    directory.chmod(0o755)
    with pytest.raises(InvalidRequestError, match="not ours alone"):
        slabs.check_ours(str(directory))


def test_all_that_lie_on_the_machine_are_found(root: Path) -> None:
    names = [f"shoal-0123456789abcdef-{life}" for life in range(3)]
    for folder, name in zip(("dev/hugepages", "dev/shm", "var/shoal/instances/nat-1"), names, strict=True):
        (root / folder / name).mkdir()
    (root / "dev/shm/somebody-else").mkdir()
    assert [path.name for path in slabs.all_directories(root / "var/shoal", root)] == names
