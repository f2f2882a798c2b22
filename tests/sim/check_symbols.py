# SPDX-License-Identifier: BSD-3-Clause
"""The simulator runs the library's protocol, and none of its own.

    check_symbols.py SIMULATOR LIBRARY OBJECT_FOLDER

Every function of the library that is in the simulator has the library's size; the simulator's own object files define
none of the library's symbols and only ask for them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# One of each part that a whole cluster needs.
NEEDED = {
    "shoal_space_take", "shoal_space_call", "shoal_holder_handle", "shoal_record_handle", "shoal_keyspace_learn",
    "shoal_keyspace_poll", "shoal_sweep_poll", "shoal_channel_send", "shoal_channel_receive_all", "shoal_message_valid",
    "shoal_worker_poll", "shoal_burst_end", "shoal_splitter_poll", "shoal_scheduler_run",
}  # fmt: skip


def defined(path: Path) -> dict[str, int]:
    """Sizes of the functions that are defined and visible."""
    lines = subprocess.run(["nm", "-S", "--defined-only", path], check=True, capture_output=True, text=True).stdout
    words = [line.split() for line in lines.splitlines()]
    return {entry[3]: int(entry[1], 16) for entry in words if len(entry) == 4 and entry[2] in "TW"}


def misplaced(simulator: Path) -> list[str]:
    """The doomed are stepped through the library's code: it lies behind all of the simulator's (sim_code_end.c)."""
    lines = subprocess.run(["nm", "--defined-only", simulator], check=True, capture_output=True, text=True).stdout
    at = {words[2]: int(words[0], 16) for words in map(str.split, lines.splitlines()) if words[1:2] == ["T"]}
    end = at["sim_code_end"]
    found = [f"{name} lies behind the simulator's end" for name in at if name.startswith("sim_") and at[name] > end]
    return found + [f"{name} lies before the simulator's end" for name in sorted(NEEDED) if at.get(name, end) < end]


def faults(simulator: Path, library: Path, folder: Path) -> list[str]:
    ours, theirs = defined(simulator), defined(library)
    found = [f"{name} is not in the simulator" for name in sorted(NEEDED - ours.keys())]
    found += [f"{name} is not the library's" for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]
    strangers = sorted(name for name in ours.keys() - theirs.keys() if name.startswith("shoal_"))
    found += [f"{name} is in the simulator and not in the library" for name in strangers]
    found += misplaced(simulator)
    objects = sorted(folder.glob("*.o"))
    for path in objects:
        found += [f"{path.name} defines {name}" for name in sorted(defined(path).keys() & theirs.keys())]
    return found if objects else [*found, f"no object files in {folder}"]


def main() -> int:
    found = faults(*(Path(word) for word in sys.argv[1:4]))
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
