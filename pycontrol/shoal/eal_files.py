# SPDX-License-Identifier: BSD-3-Clause
"""What DPDK makes for one of our processes under that process's file prefix: a runtime directory, and hugepage files
where its arguments ask for them. A process removes them itself when it ends in order; whoever ends one otherwise does
it by the word that the process left in its directory before DPDK started."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shoal.slabs import mounts

PREFIX: Final = re.compile(r"^shoal-[0-9a-f]+-[a-z][a-z0-9_-]*-(?P<process>[0-9]+)$")


def prefix(cluster: int, name: str) -> str:
    """The calling process's: names of DPDK's files must differ between processes of one host."""
    return f"shoal-{cluster:x}-{name}-{os.getpid()}"


def runtime_root(root: Path = Path("/")) -> Path:
    """Where DPDK puts runtime directories, by DPDK's own rule."""
    if os.geteuid() == 0:
        return root / "var/run/dpdk"
    return root / os.environ.get("XDG_RUNTIME_DIR", "/tmp").lstrip("/") / "dpdk"


def belonging(name: str, root: Path = Path("/")) -> Iterator[Path]:
    """What there is of a prefix."""
    runtime = runtime_root(root) / name
    if runtime.is_dir():
        yield runtime
    for mount in mounts(root):
        if mount.kind == "hugetlbfs":
            yield from sorted(mount.point.glob(f"{name}map_*"))


def stale(root: Path = Path("/")) -> Iterator[Path]:
    """Runtime directories of ours whose process has ended."""
    folder = runtime_root(root)
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        match = PREFIX.match(path.name)
        if match and not (root / "proc" / match["process"]).exists():
            yield path


def _word(directory: Path) -> Path:
    return directory / "eal"


def note(directory: Path, name: str, root: Path = Path("/")) -> None:
    """Leaves word of a process's prefix in its directory, before DPDK starts. What the one before it in this directory
    has left goes: nobody would know of it any more."""
    remove_noted(directory, root)
    _word(directory).write_text(name + "\n")


def forget(directory: Path) -> None:
    """All is gone: DPDK has stopped."""
    _word(directory).unlink(missing_ok=True)


def remove_noted(directory: Path, root: Path = Path("/")) -> None:
    """Removes what a process has left that has ended, and nothing that is not ours."""
    try:
        name = _word(directory).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return
    match = PREFIX.match(name)
    if not match or (root / "proc" / match["process"]).exists():
        return
    for path in belonging(name, root):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    forget(directory)
