# SPDX-License-Identifier: BSD-3-Clause
"""`make fuzz`: each libFuzzer target in turn, from its kept corpus, for the given number of seconds.

What a target finds is kept in build-fuzz/found/TARGET; an input that breaks it is named at the end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.ci import build_folder
from tests.ci.steps import Run, Step, run_until_failure

FOLDER = "build-fuzz"


def fuzz(seconds: int, run: Run) -> int:
    if status := build_folder.configure(run, FOLDER):
        return status
    targets = [target for target in build_folder.targets(FOLDER) if target.name.startswith("fuzz_")]
    if not targets:
        print("no fuzz targets in the build", file=sys.stderr)
        return 1
    status = build_folder.build(run, FOLDER, [target.path for target in targets])
    steps: list[Callable[[], int]] = [partial(_one, run, target, seconds) for target in targets]
    for step in steps:
        status = status or step()
    return status


def _one(run: Run, target: build_folder.Target, seconds: int) -> int:
    found = Path(FOLDER) / "found" / target.name
    found.mkdir(parents=True, exist_ok=True)
    corpus = Path("tests/fuzz/corpus") / target.name.removeprefix("fuzz_")
    program = str(Path(FOLDER) / target.path)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={found}/", "-print_final_stats=1"]
    return run.step(Step(target.name, [program, *options, str(found), str(corpus)], seconds + 60))


def main(arguments: Sequence[str]) -> int:
    os.chdir(Path(__file__).resolve().parents[2])
    return run_until_failure([partial(fuzz, int(arguments[0]))])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
