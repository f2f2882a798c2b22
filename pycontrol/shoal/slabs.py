# SPDX-License-Identifier: BSD-3-Clause
"""Where the slabs of one life of an instance lie: a directory of their own, on hugetlbfs where there is one and on
tmpfs else. It outlives a crash, so that another instance can adopt what lies there; a proper stop removes it. The
instance's directory has a link to it by the name `slabs`."""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal.errors import InvalidRequestError

SHARED_MEMORY: Final = Path("/dev/shm")
_NAME: Final = re.compile(r"^shoal-[0-9a-f]{16}-[0-9]+$")
# The data plane's slabs are made of pages of 2 MiB.
_HUGE_PAGE: Final = re.compile(r"\bpagesize=2M\b")


@dataclass(frozen=True, slots=True)
class Mount:
    point: Path
    kind: str
    options: str


def mounts(root: Path = Path("/")) -> tuple[Mount, ...]:
    """All mounts; their points as they are below `root`."""
    lines = (root / "proc/mounts").read_text().splitlines()
    found = (line.split() for line in lines)
    return tuple(Mount(root / words[1].lstrip("/"), words[2], words[3]) for words in found if len(words) > 3)


def _huge(mount: Mount) -> bool:
    return mount.kind == "hugetlbfs" and ("pagesize=" not in mount.options or bool(_HUGE_PAGE.search(mount.options)))


def _is_memory(path: Path, root: Path) -> bool:
    inside = [mount for mount in mounts(root) if path.is_relative_to(mount.point)]
    return bool(inside) and max(inside, key=lambda mount: len(mount.point.parts)).kind in ("tmpfs", "hugetlbfs")


def candidates(instance: Path, life: int, root: Path = Path("/")) -> tuple[Path, ...]:
    """Where the slabs of a life may lie, the best first. The same whenever it is asked on one machine."""
    digest = hashlib.sha256(str(instance).encode()).hexdigest()[:16]
    name = f"shoal-{digest}-{life}"
    huge = [mount.point / name for mount in mounts(root) if _huge(mount)]
    memory = instance / name if _is_memory(instance, root) else root / SHARED_MEMORY.relative_to("/") / name
    return (*huge[:1], memory)


def link(instance: Path) -> Path:
    return instance / "slabs"


def note(instance: Path, directory: Path) -> None:
    """Leaves word of where the slabs lie."""
    name = link(instance)
    name.unlink(missing_ok=True)
    name.symlink_to(directory)


def noted(instance: Path) -> Path | None:
    """Where the slabs of an instance lie; None: it has none, or the word is not one of ours."""
    try:
        directory = link(instance).readlink()
    except OSError:
        return None
    return directory if _NAME.match(directory.name) else None


def is_ours(directory: Path) -> bool:
    """By its name."""
    return bool(_NAME.match(directory.name))


def remove(directory: Path) -> None:
    """Removes a directory of slabs, and no other."""
    if _NAME.match(directory.name):
        shutil.rmtree(directory, ignore_errors=True)


def check_ours(path: str) -> Path:
    """A directory of slabs that somebody names; InvalidRequestError: it is none, or not ours alone."""
    directory = Path(path)
    if not directory.is_absolute() or not _NAME.match(directory.name) or ".." in directory.parts:
        raise InvalidRequestError(f"{path!r} is no directory of slabs")
    try:
        status = directory.lstat()
    except OSError as error:
        raise InvalidRequestError(f"{path}: {error.strerror}") from error
    if not directory.is_dir() or directory.is_symlink():
        raise InvalidRequestError(f"{path} is no directory")
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise InvalidRequestError(f"{path} is not ours alone")
    return directory


def size(directory: Path) -> int:
    """Bytes of what lies in a directory; files that go meanwhile do not count."""
    total = 0
    with contextlib.suppress(FileNotFoundError):
        for file in directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += file.stat().st_size
    return total


def all_directories(run_directory: Path, root: Path = Path("/")) -> Iterator[Path]:
    """Every directory of slabs of this machine, and those in a run directory."""
    places = [mount.point for mount in mounts(root) if _huge(mount)]
    places += [root / SHARED_MEMORY.relative_to("/"), *(run_directory / "instances").glob("*")]
    for place in dict.fromkeys(places):
        with contextlib.suppress(OSError):
            yield from (path for path in sorted(place.iterdir()) if _NAME.match(path.name) and path.is_dir())
