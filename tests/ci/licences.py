# SPDX-License-Identifier: BSD-3-Clause
"""Every source file names the project's licence at its top."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LINE = "SPDX-License-Identifier: BSD-3-Clause"


def faults(names: Iterable[str]) -> list[str]:
    """A line for each file without the licence in its first three lines; empty files need none."""
    found = []
    for name in names:
        lines = Path(name).read_text().splitlines()
        if lines and not any(LINE in line for line in lines[:3]):
            found.append(f"{name}: no `{LINE}` in its first three lines")
    return found
