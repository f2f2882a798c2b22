# SPDX-License-Identifier: BSD-3-Clause
"""What a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def describe() -> dict[str, Any]:
    """Processor, memory, kernel and load, as they are now."""
    return {
        "cpu_model": _cpu_model(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 0,
        "cores_usable": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "hugepages": {"bytes": 2 << 20, "total": _hugepages("nr_hugepages"), "free": _hugepages("free_hugepages")},
        "hypervisor": "hypervisor" in _cpu_flags(),
        "simd": "avx512" if "avx512f" in _cpu_flags() else "avx2" if "avx2" in _cpu_flags() else "sse",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "shoal": importlib.metadata.version("shoal"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": load(),
    }


def load() -> list[float]:
    return [round(value, 2) for value in os.getloadavg()]


def hugepages_free() -> int:
    return _hugepages("free_hugepages")


def default_cores() -> tuple[int, int | None]:
    """The core to measure on, and another one if there is: the last ones, for others mostly work on the first."""
    usable = usable_cores()
    return usable[-1], usable[-2] if len(usable) > 1 else None


def usable_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _hugepages(name: str) -> int:
    try:
        return int((HUGEPAGES / name).read_text())
    except (OSError, ValueError):
        return 0


def _cpu_lines(name: str) -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name]


def _cpu_model() -> str:
    return (_cpu_lines("model name") or [platform.processor() or "unknown"])[0]


def _cpu_flags() -> frozenset[str]:
    return frozenset((_cpu_lines("flags") or [""])[0].split())
