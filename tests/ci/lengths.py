# SPDX-License-Identifier: BSD-3-Clause
"""No file over 400 lines without an entry, with a reason, in tests/ci/long_files.txt."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.ci import skips

LINES_MAX = 400
EXCEPTIONS = Path(__file__).with_name("long_files.txt")


def faults(names: Iterable[str]) -> list[str]:
    """A line for each file that is too long, and for each exception that is not needed any more."""
    exceptions = skips.allowed(EXCEPTIONS)
    found = []
    for name in names:
        lines = Path(name).read_bytes().count(b"\n")
        if lines > LINES_MAX and name not in exceptions:
            found.append(
                f"{name}: {lines} lines, more than {LINES_MAX}: split it by noun, or give a reason in {EXCEPTIONS.name}"
            )
        if lines <= LINES_MAX and name in exceptions:
            found.append(f"{name}: {lines} lines, so {EXCEPTIONS.name} need not list it")
    found += [f"{EXCEPTIONS.name} lists {name}, which is gone" for name in exceptions if not Path(name).exists()]
    return found
