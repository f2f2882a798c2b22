# SPDX-License-Identifier: BSD-3-Clause
"""EAL's arguments for one of our processes: hugepages where there are enough, ordinary memory else; nothing shared, no
file that outlives the process."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PCI_ADDRESS: Final = re.compile(r"^(?:[0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")
# An mbuf with its headroom, frame, private area and pool overhead. DPDK lets none cross a page: in ordinary memory each
# has one for itself, and the pool's own tables (handles, the list of pages) come to some more.
_PACKET_BYTES: Final = 2816
_PACKET_BYTES_ORDINARY: Final = 4096 + 64
_FIXED_MIB: Final = 48


def free_hugepage_mib(meminfo: str) -> int:
    """MiB of free hugepages of the default size, from the text of /proc/meminfo."""
    values = dict(re.findall(r"^(HugePages_Free|Hugepagesize):\s+(\d+)", meminfo, re.MULTILINE))
    return int(values.get("HugePages_Free", 0)) * int(values.get("Hugepagesize", 0)) // 1024


def memory_mib(packets: int, *, hugepages: bool) -> int:
    """What a process needs for its packet pools and EAL itself."""
    return _FIXED_MIB + packets * (_PACKET_BYTES if hugepages else _PACKET_BYTES_ORDINARY) // (1 << 20)


def arguments(
    name: str, packets: int, devices: Sequence[str], extra: Sequence[str], meminfo: str | None = None
) -> tuple[str, ...]:
    """argv of rte_eal_init. `extra` comes last and may override; with `--no-huge` in it hugepages are left alone."""
    free = free_hugepage_mib(meminfo if meminfo is not None else Path("/proc/meminfo").read_text())
    ordinary = ("--no-huge", "--no-shconf", "-m", str(memory_mib(packets, hugepages=False)))
    enough = free >= memory_mib(packets, hugepages=True) and "--no-huge" not in extra
    memory = ("--in-memory",) if enough else ordinary
    allowed = [address[0] for device in devices if (address := _PCI_ADDRESS.match(device))]
    buses = tuple(f"--allow={address}" for address in allowed) if allowed else ("--no-pci",)
    main = min(os.sched_getaffinity(0))
    return (name, f"--lcores=0@{main}", *memory, *buses, "--no-telemetry", f"--file-prefix={name}", *extra)
