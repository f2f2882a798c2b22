# SPDX-License-Identifier: BSD-3-Clause
"""The README of dataplane_c and of pycontrol list their files in reading order; the lists are complete and true.

An entry is a list item that begins with the file's path in backquotes: "- `worker/worker.c` what it is". Two files that
are read together may share a line: "- `queue/ring.h` `queue/ring.c` …". Tests and empty files need no entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ENTRY = re.compile(r"^\s*(?:[-*]|\d+\.)\s+((?:`[^`]+`[\s,]*)+)")


def listed(text: str) -> list[str]:
    """Paths that the list items of a README begin with, in their order."""
    found = []
    for line in text.splitlines():
        if match := ENTRY.match(line):
            found += re.findall(r"`([^`]+)`", match.group(1))
    return found


def is_test(path: Path) -> bool:
    return path.stem.endswith("_test") or path.name.startswith("test_") or path.name == "conftest.py"


def faults(folder: Path, names: Iterable[str], suffixes: tuple[str, ...]) -> list[str]:
    """A line for each file that the list lacks, and for each that it lists wrongly or twice."""
    readme = folder / "README.md"
    if not readme.exists():
        return [f"{readme}: missing; it lists the folder's files in reading order"]
    entries = [entry for entry in listed(readme.read_text()) if entry.endswith(suffixes)]
    wanted = {
        str(Path(name).relative_to(folder))
        for name in names
        if name.endswith(suffixes) and not is_test(Path(name)) and Path(name).stat().st_size > 0
    }
    found = [f"{readme} does not list {name}" for name in sorted(wanted - set(entries))]
    found += [f"{readme} lists {name}, which is gone" for name in entries if not (folder / name).exists()]
    found += [f"{readme} lists {name} twice" for name in sorted({name for name in entries if entries.count(name) > 1})]
    return found
