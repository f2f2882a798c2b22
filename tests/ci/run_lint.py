# SPDX-License-Identifier: BSD-3-Clause
"""`make lint`: format, types, lengths, reading order, and whether the aarch64 switch assembles. Reports all faults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.ci import lengths, licences, reading_order, skips

Check = Callable[[], list[str]]


def tracked(*patterns: str) -> list[str]:
    """Files of the project by glob: what git tracks, and new files that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return sorted(name for name in set(answer.stdout.split("\0")) if name and Path(name).exists())


def _command(*command: str) -> list[str]:
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [line for line in answer.stdout.splitlines() if line.strip()] if answer.returncode else []


def c_format() -> list[str]:
    return _command(".venv/bin/clang-format", "--dry-run", "--Werror", *tracked("*.c", "*.h"))


def ruff() -> list[str]:
    return _command(".venv/bin/ruff", "check", ".") + _command(".venv/bin/ruff", "format", "--check", ".")


def types() -> list[str]:
    """The packages as installed, where the modules that the build makes lie beside the others; then the tests."""
    mypy = ".venv/bin/mypy", "--strict"
    return _command(*mypy, "-p", "shoal", "-p", "shoal_dataplane") + _command(*mypy, "tests", "conftest.py")


def aarch64() -> list[str]:
    """Assembles each aarch64 source; a missing assembler is a fault in CI and a remark elsewhere."""
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    sources = tracked("*aarch64*.S")
    if compiler is None:
        remark = "no aarch64-linux-gnu-gcc: the aarch64 sources are not assembled"
        print(f"lint: {remark}")
        return [remark] if skips.strict() else []
    faults = [] if sources else ["no *aarch64*.S in the project: nothing was assembled"]
    for source in sources:
        faults += _command(
            compiler, "-Werror", "-Idataplane_c", "-Idataplane_c/include", "-c", source, "-o", "/dev/null"
        )
    return faults


def file_lengths() -> list[str]:
    return lengths.faults(tracked("*.c", "*.h", "*.S", "*.py", "*.sh", "*.proto"))


def licence_lines() -> list[str]:
    return licences.faults(tracked("*.c", "*.h", "*.S", "*.py", "*.sh", "*.proto"))


def order_of_reading() -> list[str]:
    faults = []
    for folder, suffixes in (("dataplane_c", (".c", ".h", ".S")), ("pycontrol", (".py", ".proto"))):
        if Path(folder).is_dir():
            faults += reading_order.faults(Path(folder), tracked(f"{folder}/*"), suffixes)
    return faults


CHECKS: dict[str, Check] = {
    "clang-format": c_format,
    "ruff": ruff,
    "mypy": types,
    "aarch64": aarch64,
    "length": file_lengths,
    "licence": licence_lines,
    "reading order": order_of_reading,
}


def main() -> int:
    os.chdir(Path(__file__).resolve().parents[2])
    status = 0
    for name, check in CHECKS.items():
        faults = check()
        print(f"lint: {name}: {f'{len(faults)} lines of faults' if faults else 'good'}", flush=True)
        for fault in faults:
            print(f"  {fault}")
        status = 1 if faults else status
    return status


if __name__ == "__main__":
    sys.exit(main())
