# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the machine: hugepages, hugepage files, DPDK, ports, permissions. Each takes the root of the file system,
so that a test can make one up."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shoal import eal_files, slabs
from shoal.doctor.finding import Finding, fault, good, remark
from shoal.eal_arguments import free_hugepage_mib

# A splitter's and two instances' packet pools.
_HUGEPAGE_MIB: Final = 512
_NAMED_MAX: Final = 8  # more are told of by their number
_MOUNT_REMEDY: Final = "as root: mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages"
_PAGE_REMEDY: Final = "as root: echo 1024 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"


def hugepages(root: Path = Path("/")) -> Iterator[Finding]:
    """Enough of them, and a mount where files of them can be made."""
    free = free_hugepage_mib((root / "proc/meminfo").read_text())
    mounted = " hugetlbfs " in (root / "proc/mounts").read_text()
    if free >= _HUGEPAGE_MIB:
        yield good("hugepages", f"{free} MiB are free")
    else:
        yield remark("hugepages", f"{free} MiB are free: Shoal works without, about 40 % slower", _PAGE_REMEDY)
    if free and not mounted:
        yield remark(
            "hugetlbfs", "is not mounted", "as root: mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages"
        )


def hugepage_files(root: Path = Path("/")) -> Iterator[Finding]:
    """Files of DPDK processes that have ended hold pages that nobody can use."""
    stale = [path for path in _our_hugepage_files(root) if _left_behind(path, root)]
    if stale:
        names = " ".join(str(path) for path in stale[:8])
        yield remark("hugepage files", f"{len(stale)} are left behind and hold memory", f"rm {names}")
    else:
        yield good("hugepage files", "none is left behind")


def _our_hugepage_files(root: Path) -> list[Path]:
    mounts = [line.split()[1] for line in (root / "proc/mounts").read_text().splitlines() if " hugetlbfs " in line]
    found = [path for mount in mounts for path in sorted((root / mount.lstrip("/")).glob("shoal*"))]
    return [path for path in found if not path.is_dir()]


def slab_directories(run_directory: Path, root: Path = Path("/")) -> Iterator[Finding]:
    """Slabs of instances that died and that nobody has adopted hold memory; those of proper stops are gone."""
    stale = [path for path in slabs.all_directories(run_directory, root) if _left_behind(path, root)]
    for path in stale:
        mib = slabs.size(path) >> 20
        life = path.name.rpartition("-")[2]
        yield remark("slabs", f"{path} is of life {life} that has ended, and holds {mib} MiB", f"rm -r {path}")
    if not stale:
        yield good("slabs", "none is left behind")


def shared_memory(root: Path = Path("/")) -> Iterator[Finding]:
    """Files of ours that no process has mapped; slabs are told of by themselves."""
    found = [path for path in sorted((root / "dev/shm").glob("shoal*")) if not slabs.is_ours(path)]
    yield from _left("shared memory", [path for path in found if _left_behind(path, root)])


def runtime_directories(root: Path = Path("/")) -> Iterator[Finding]:
    """DPDK's, of processes of ours that have ended; there may be thousands."""
    stale = list(eal_files.stale(root))
    if len(stale) <= _NAMED_MAX:
        yield from _left("DPDK's directories", stale)
        return
    folder = eal_files.runtime_root(root)
    yield remark(
        "DPDK's directories",
        f"{len(stale)} in {folder} are of processes that have ended",
        f'(cd {folder} && for d in shoal-*-*; do [ -e /proc/"${{d##*-}}" ] || rm -r "$d"; done)',
    )


def _left(subject: str, paths: list[Path]) -> Iterator[Finding]:
    if not paths:
        yield good(subject, "nothing is left behind")
    for path in paths:
        yield remark(subject, f"{path} is nobody's any more", f"rm -r {path}")


def _left_behind(path: Path, root: Path) -> bool:
    """Another user's is not ours to judge: we don't see whether his processes have mapped it."""
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:
        return False  # it went while we looked
    return os.geteuid() in (0, owner) and not _in_use(path, root)


def _in_use(path: Path, root: Path) -> bool:
    """Whether a process has mapped the file, or one in the directory."""
    wanted = str(path.relative_to(root)) + ("/" if path.is_dir() else "")
    for maps in (root / "proc").glob("[0-9]*/maps"):
        try:
            if wanted in maps.read_text():
                return True
        except OSError:
            continue
    return False


def dpdk(root: Path = Path("/")) -> Iterator[Finding]:
    """The extension loads, and DPDK's drivers are where it looks for them."""
    try:
        from shoal_dataplane import door
    except ImportError as error:
        yield fault("data plane", f"does not load: {error}", "make setup")
        return
    yield good("data plane", f"loads from {Path(door.__file__ or '').parent}")
    folders = [path for path in (root / "usr/lib").glob("*/dpdk/pmds-*") if any(path.glob("librte_net_*.so*"))]
    if folders:
        yield good("DPDK's drivers", f"are in {folders[-1]}")
    else:
        yield fault("DPDK's drivers", "there are none in /usr/lib/*/dpdk", "as root: apt-get install dpdk")


def ports(root: Path = Path("/")) -> Iterator[Finding]:
    """Interfaces that a port could use."""
    interfaces = sorted(path.name for path in (root / "sys/class/net").glob("*") if path.name != "lo")
    down = [name for name in interfaces if _text(root / "sys/class/net" / name / "operstate") == "down"]
    if not interfaces:
        yield remark("ports", "there is no network interface but lo", "traffic from the built-in generator needs none")
    else:
        yield good("ports", f"interfaces: {', '.join(interfaces)}")
    for name in down:
        yield remark("ports", f"{name} is down", f"as root: ip link set {name} up")
    bound = [path.name for path in (root / "sys/bus/pci/drivers/vfio-pci").glob("*:*:*.*")]
    if bound:
        yield good("ports", f"bound to vfio-pci: {', '.join(sorted(bound))}")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def permissions(root: Path = Path("/")) -> Iterator[Finding]:
    """Root, or the capabilities that packet sockets and locked memory need."""
    status = _text(root / "proc/self/status")
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    effective = int(match.group(1), 16) if match else 0
    lacking = [name for name, bit in (("CAP_NET_RAW", 13), ("CAP_NET_ADMIN", 12)) if not effective >> bit & 1]
    if lacking:
        yield remark(
            "permissions",
            f"without {' and '.join(lacking)}: ports on kernel interfaces can't be opened",
            "run as root; the built-in generator and pcap files need neither",
        )
    else:
        yield good("permissions", "ports on kernel interfaces can be opened")


def processors(root: Path = Path("/")) -> Iterator[Finding]:
    """Enough cores for polling threads that spin."""
    del root
    count = len(os.sched_getaffinity(0))
    if count < 3:
        yield remark("processors", f"{count}: polling threads share them", "keep `idle: sleep` or `idle: yield`")
    else:
        yield good("processors", f"{count}")


def namespaces(root: Path = Path("/")) -> Iterator[Finding]:
    """Network namespaces that tests left behind."""
    del root
    try:
        listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        yield remark("namespaces", "`ip` does not work", "as root: apt-get install iproute2")
        return
    left = [line.split()[0] for line in listing.splitlines() if line.startswith("shoal")]
    for name in left:
        yield remark("namespaces", f"{name} is there", f"unless a test runs, as root: ip netns delete {name}")
    if not left:
        yield good("namespaces", "none of ours is left behind")
