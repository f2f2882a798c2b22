# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the run directory: whose it is, and whether what lies there is alive."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from shoal.doctor.finding import Finding, fault, good, remark
from shoal.run_directory import RunDirectory, read_pid_file


def run_directory(directory: RunDirectory) -> Iterator[Finding]:
    """Ours, and closed to others; or one that we can make."""
    path = directory.path
    if not path.exists():
        parent = next(parent for parent in path.parents if parent.exists())
        if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
            yield good("run directory", f"{path} will be made")
        else:
            yield fault("run directory", f"{path} can't be made in {parent}", "name another with --run-directory")
        return
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        yield fault("run directory", f"{path} is no directory", f"rm {path}")
    elif found.st_uid != os.geteuid():
        yield fault("run directory", f"{path} belongs to user {found.st_uid}", "name another with --run-directory")
    elif found.st_mode & 0o077:
        yield fault("run directory", f"{path} is open to others, who could command it", f"chmod 700 {path}")
    else:
        yield good("run directory", str(path))


def processes(directory: RunDirectory) -> Iterator[Finding]:
    """Pid files whose process has ended: a crash left them."""
    for each in directory.processes():
        identity = read_pid_file(each.pid_file)
        if identity is None or not identity.lives:
            yield remark("processes", f"{each.path} is of a process that has ended", "shoal down")
        else:
            yield good("processes", f"{each.path.name} runs as process {identity.pid}")


def forsaken(directory: RunDirectory) -> Iterator[Finding]:
    """Directories of instances without a process: a crash left them, and no controller has cleaned up."""
    left = [each.path for each in directory.instances() if not each.pid_file.exists()]
    for path in left:
        yield remark("instances", f"{path} is of an instance that has gone", f"shoal down, or: rm -r {path}")
    if not left:
        yield good("instances", "no directory is left behind")


def sockets(directory: RunDirectory) -> Iterator[Finding]:
    """Sockets that nobody listens on."""
    stale = [path for path in sorted(directory.path.rglob("*.socket")) if not _listens(path)]
    for path in stale:
        yield remark("sockets", f"nobody listens on {path}", "shoal down")
    if not stale:
        yield good("sockets", "none is stale")


def _listens(path: Path) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(path))
            except OSError:
                continue
            return True
    return False
