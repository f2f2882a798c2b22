# SPDX-License-Identifier: BSD-3-Clause
"""`make sim SEEDS=…`: the simulator over that many seeds, from FIRST on, divided among the processors.

A seed that fails is named; `build/tests/sim/sim --seed N --trace` runs it again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from tests.ci import build_folder
from tests.ci.steps import Run, Step, run_until_failure

FOLDER = "build"
TARGET = "tests/sim/sim"
SECONDS_A_SEED = 1.0


def simulate(first: int, seeds: int, run: Run) -> int:
    """Exit status."""
    processors = len(os.sched_getaffinity(0))
    if status := build_folder.build(run, FOLDER, [TARGET]):
        return status
    bounds = [first + seeds * part // processors for part in range(processors + 1)]
    parts = [
        Step("simulator", [f"{FOLDER}/{TARGET}", "--seeds", str(start), str(end - start)], 60 + seeds * SECONDS_A_SEED)
        for start, end in pairwise(bounds)
        if end > start
    ]
    return run.together("simulator", parts)


def main(arguments: Sequence[str]) -> int:
    os.chdir(Path(__file__).resolve().parents[2])
    seeds, first = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 1
    return run_until_failure([partial(simulate, first, seeds)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
