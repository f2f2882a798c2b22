# SPDX-License-Identifier: BSD-3-Clause
"""`make bench`: every benchmark, or those named; rows and picture go into files. Leaves no process behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.ci.steps import Run, Step, run_until_failure

DEADLINE_S = 900.0
RESULTS = "bench-results"


def bench(wanted: Sequence[str], run: Run) -> int:
    """Runs the named benchmarks, or all. Exit status of `shoal bench`."""
    files = ["--json", f"{RESULTS}.json", "--plot", f"{RESULTS}.png"]
    return run.step(Step("bench", [".venv/bin/shoal", "bench", *(wanted or ["all"]), *files], DEADLINE_S))


def main(arguments: Sequence[str]) -> int:
    os.chdir(Path(__file__).resolve().parents[2])
    return run_until_failure([partial(bench, arguments)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
