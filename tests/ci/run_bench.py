# SPDX-License-Identifier: BSD-3-Clause
"""`make bench`: builds and runs every benchmark of bench/ in turn; each prints its figures as JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.ci import build_folder
from tests.ci.steps import Run, Step, run_until_failure

FOLDER = "build"
DEADLINE_S = 600.0


def bench(wanted: Sequence[str], run: Run) -> int:
    """Runs the named benchmarks, or all."""
    if status := build_folder.configure(run, FOLDER):
        return status
    targets = [target for target in build_folder.targets(FOLDER) if target.name.endswith("_bench")]
    names = [target.name.removesuffix("_bench") for target in targets]
    if unknown := [name for name in wanted if name not in names]:
        print(f"no such benchmark: {' '.join(unknown)}; there are: {' '.join(names)}", file=sys.stderr)
        return 2
    chosen = [target for target, name in zip(targets, names, strict=True) if not wanted or name in wanted]
    status = build_folder.build(run, FOLDER, [target.path for target in chosen])
    for target in chosen:
        status = status or run.step(Step(target.name, [str(Path(FOLDER) / target.path)], DEADLINE_S))
    return status


def main(arguments: Sequence[str]) -> int:
    os.chdir(Path(__file__).resolve().parents[2])
    return run_until_failure([partial(bench, arguments)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
