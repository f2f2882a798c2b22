# SPDX-License-Identifier: BSD-3-Clause
"""Where a deployment's sockets, slabs, logs and pid files lie. Mode 0700: whoever may enter may command."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from shoal import eal_files, slabs
from shoal.errors import RefusedError, ShoalError

VARIABLE: Final = "SHOAL_RUN_DIRECTORY"
# A Unix socket's path has room for 107 characters; the longest name that is put below this.
_PATH_MAX: Final = 107 - len("/instances/" + "x" * 20 + "/peers.socket")


def default() -> Path:
    """$SHOAL_RUN_DIRECTORY; /run/shoal for root; $XDG_RUNTIME_DIR/shoal; a folder of the user's own in /tmp."""
    if variable := os.environ.get(VARIABLE):
        return Path(variable)
    if os.geteuid() == 0:
        return Path("/run/shoal")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "shoal" if runtime else Path(tempfile.gettempdir()) / f"shoal-{os.geteuid()}"


def make_private(path: Path) -> Path:
    """Makes a directory that only its owner may enter; refuses one of somebody else's, and one with something in it
    that others may enter: it serves another purpose."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat()
        if owner.st_uid != os.geteuid():
            raise RefusedError(f"{path} belongs to user {owner.st_uid}, not to {os.geteuid()}")
        if stat.S_IMODE(owner.st_mode) & 0o077 and any(path.iterdir()):
            raise RefusedError(f"{path} is open to others and not empty: name another, or close it with chmod 700")
        path.chmod(0o700)
    except OSError as error:
        raise ShoalError(f"{path}: {error.strerror}") from error
    return path


@dataclass(frozen=True, slots=True)
class ProcessDirectory:
    """One process's directory."""

    path: Path

    @property
    def socket(self) -> Path:
        """Its gRPC service."""
        return self.path / "grpc.socket"

    @property
    def address(self) -> str:
        return f"unix:{self.socket}"

    @property
    def peers(self) -> Path:
        """Where peers, or instances that want their packet ring, knock."""
        return self.path / "peers.socket"

    @property
    def pid_file(self) -> Path:
        return self.path / "pid"

    def remove(self) -> None:
        """The directory with all that lies in it, the slabs, and what DPDK made for the process, which has ended."""
        eal_files.remove_noted(self.path)
        directory = slabs.noted(self.path)
        if directory is not None:
            slabs.remove(directory)
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def log(self) -> Path:
        return self.path / "log"

    def open_log(self) -> BinaryIO:
        """For writing behind what is there; its user's alone."""
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A deployment's directory."""

    path: Path

    def create(self) -> None:
        if len(str(self.path)) > _PATH_MAX:
            raise RefusedError(f"{self.path} is too long for a Unix socket: at most {_PATH_MAX} characters")
        make_private(self.path)
        make_private(self.path / "instances")

    def claim(self) -> bool:
        """Makes the calling process the directory's one controller until it ends; False: there is another one."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)  # open, and so locked, until the process ends
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        return True

    @property
    def controller(self) -> ProcessDirectory:
        return ProcessDirectory(self.path)

    @property
    def store(self) -> Path:
        return self.path / "state.db"

    @property
    def splitter(self) -> ProcessDirectory:
        return ProcessDirectory(self.path / "splitter")

    def instance(self, name: str) -> ProcessDirectory:
        return ProcessDirectory(self.path / "instances" / name)

    def served(self) -> bool:
        """Whether a deployment was ever here: a directory of the user's that happens to have an `instances` or a `log`
        is none of ours. RefusedError: it is somebody else's."""
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
            return False
        if status.st_uid != os.geteuid():
            raise RefusedError(f"{self.path} belongs to user {status.st_uid}, not to {os.geteuid()}")
        return self.store.exists() or any(read_pid_file(each.pid_file) for each in self.processes())

    def clear(self) -> None:
        """Removes what the controller left; what is not ours stays, and so does a directory that is not empty."""
        for path in (*self.path.glob("state.db*"), self.controller.log, self.controller.pid_file):
            path.unlink(missing_ok=True)
        for directory in (self.path / "instances", self.path / "splitter", self.path):
            with contextlib.suppress(OSError):
                directory.rmdir()

    def instances(self) -> tuple[ProcessDirectory, ...]:
        """Those that have a directory."""
        return tuple(ProcessDirectory(path) for path in sorted((self.path / "instances").glob("*")))

    def processes(self) -> tuple[ProcessDirectory, ...]:
        """All directories that hold a pid file, instances first, the controller last."""
        found = (*self.instances(), self.splitter, self.controller)
        return tuple(directory for directory in found if directory.pid_file.exists())


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process and when it started (in clock ticks since boot): a pid alone may be somebody else's by now."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """None: there is no such process, or only its zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def lives(self) -> bool:
        return ProcessIdentity.of(self.pid) == self

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to this process and no other; nothing happens where it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.lives:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return
        finally:
            os.close(descriptor)


def write_pid_file(path: Path, identity: ProcessIdentity | None = None) -> None:
    """For the calling process, or another one."""
    identity = identity or ProcessIdentity.of(os.getpid())
    assert identity is not None
    if read_pid_file(path) == identity:
        return  # whoever reads it meanwhile finds it whole
    path.write_text(json.dumps({"pid": identity.pid, "start_ticks": identity.start_ticks}) + "\n")


def read_pid_file(path: Path) -> ProcessIdentity | None:
    """None: there is no file, or nothing that could be one of ours."""
    try:
        content = json.loads(path.read_text())
        return ProcessIdentity(int(content["pid"]), int(content["start_ticks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
