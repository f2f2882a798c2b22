# SPDX-License-Identifier: BSD-3-Clause
"""Builds for older processors: compiled, looked through for registers that those do not have, and tested."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.ci import build_folder
from tests.ci.steps import Run, Step

# Folder: what its code must not use.
FORBIDDEN = {
    "build-v3": re.compile(r"%(zmm\d+|k[0-7])\b"),  # AVX2, no AVX-512
    "build-v2": re.compile(r"%(zmm\d+|ymm\d+|k[0-7])\b"),  # SSE 4.2, no AVX
}
LIBRARIES = ("dataplane_c/libshoal.a", "nfs/nat/libshoal_nf_nat_static.a")
# Where code differs by processor: vectors, prefetches, unaligned reads, switches of stacks.
TESTS = (
    *("parse", "checksum", "field_engine", "map", "ring", "microthread", "ready_queue", "splitter", "ring_transport"),
    *("nat_burst", "nat_flow", "nat_pool", "nat_translate", "nat_world_nat"),
)


def portable_builds(run: Run) -> int:
    """Both builds, one after the other. Exit status."""
    if platform.machine() != "x86_64":
        print(f"portable builds: only for x86_64, and this is {platform.machine()}", flush=True)
        return 0
    return next((status for folder in FORBIDDEN if (status := _portable_build(run, folder))), 0)


def _portable_build(run: Run, folder: str) -> int:
    if status := build_folder.configure(run, folder):
        return status
    targets = {target.name: target.path for target in build_folder.targets(folder)}
    status = build_folder.build(run, folder, [targets[f"{name}_test"] for name in TESTS])
    if status or (status := _look_through(folder)):
        return status
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", *TESTS]
    return run.step(Step(f"test {folder}", command, 300))


def _look_through(folder: str) -> int:
    for library in LIBRARIES:
        path = Path(folder) / library
        command = ["objdump", "-d", "--no-show-raw-insn", str(path)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if found := uses(text.splitlines(), FORBIDDEN[folder]):
            print(f"{path} uses registers that its processors do not have: {found[0]}", flush=True)
            return 1
    return 0


def uses(lines: Iterable[str], forbidden: re.Pattern[str]) -> list[str]:
    """Lines of a disassembly that name such a register."""
    return [line.strip() for line in lines if forbidden.search(line)]
