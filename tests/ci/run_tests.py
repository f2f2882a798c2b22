# SPDX-License-Identifier: BSD-3-Clause
"""`make test`: C tests, again under ASan and UBSan, the queues' under TSan, builds for older processors, the
simulator, all Python tests, then a minute of chaos."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.ci import build_folder, skips
from tests.ci.portable import portable_builds
from tests.ci.run_sim import simulate
from tests.ci.steps import Run, Step, run_until_failure
from tests.smoke.network import permitted

SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=0:abort_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
SEEDS = 3000
CHAOS_SECONDS = "60"
# Of all seeds up to 20,000 the one whose first acts are of the most kinds: 15 of 17 in the first twenty on one host,
# sixteen different ones at first between two.
CHAOS_SEED = "18828"
# Programs that are no tests of themselves.
RUN_BY_PYTHON = ["tests/equivalence/cluster/equivalence_run"]
CMOCKA_SKIPPED = re.compile(r"\[  SKIPPED \] (\w+)$")


def _meson_test(run: Run, folder: str, names: Sequence[str], environment: dict[str, str]) -> int:
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", *names]
    status = run.step(Step(f"test {folder}", command, 1200, environment))
    return status or _check_skips(folder)


def _check_skips(folder: str) -> int:
    """In CI a skipped C test that no line allows is a failure; so is one that skips inside of a cmocka program."""
    if not skips.strict():
        return 0
    skipped = []
    for line in (Path(folder) / "meson-logs" / "testlog.json").read_text().splitlines():
        entry = json.loads(line)
        if entry["result"] == "SKIP":
            skipped.append(entry["name"])
        lines = entry.get("stdout", "").splitlines()
        skipped += [match.group(1) for output in lines if (match := CMOCKA_SKIPPED.match(output))]
    unexpected = skips.unexpected(set(skipped))
    for name in unexpected:
        print(f"skipped in CI, and not in tests/allowed_skips.txt: {name}", flush=True)
    return 1 if unexpected else 0


def c_tests(run: Run) -> int:
    return build_folder.build(run, "build") or _meson_test(run, "build", [], {})


def sanitized_tests(run: Run) -> int:
    return build_folder.build(run, "build-asan") or _meson_test(run, "build-asan", [], SANITIZER_ENVIRONMENT)


def thread_tests(run: Run) -> int:
    """The lockless queues and the pipe, whose tests run with two threads."""
    folder = "build-tsan"
    if status := build_folder.configure(run, folder):
        return status
    tests = [target for target in build_folder.targets(folder) if _has_two_threads(target)]
    if not tests:
        raise LookupError("no test with two threads in the build: it would pass unseen")
    names = [target.name.removesuffix("_test") for target in tests]
    status = build_folder.build(run, folder, [target.path for target in tests])
    return status or _meson_test(run, folder, names, SANITIZER_ENVIRONMENT)


def _has_two_threads(target: build_folder.Target) -> bool:
    parts = ("/dataplane_c/queue/", "/dataplane_c/worker/pipe_test.c")
    return target.name.endswith("_test") and any(part in source for source in target.sources for part in parts)


def python_tests(run: Run) -> int:
    if status := build_folder.build(run, "build", RUN_BY_PYTHON):
        return status
    command = [".venv/bin/python", "-m", "pytest", "-q", "-rs", "--durations=5", f"--basetemp={run.folder}/p"]
    return run.step(Step("python", command, 1200))


def simulated_clusters(run: Run) -> int:
    return simulate(1, int(os.environ.get("SEEDS", SEEDS)), run)


def chaos(run: Run) -> int:
    """On one host, then between two. The same acts each time, so that what fails here has failed before or is new; SEED
    draws others. (`make chaos` draws others each time.) What it came to is one line of JSON."""
    if not permitted():
        print("chaos: needs root, for network namespaces: skipped", flush=True)
        return 1 if skips.strict() else 0
    seed = os.environ.get("SEED") or CHAOS_SEED
    for hosts in ("1", "2"):
        command = [
            ".venv/bin/python",
            "-m",
            "tests.chaos",
            "--seconds",
            CHAOS_SECONDS,
            "--hosts",
            hosts,
            "--seed",
            seed,
        ]
        if status := run.step(Step(f"chaos on {hosts}", command, 900)):
            return status
    return 0


PARTS = {
    "c": c_tests,
    "sanitizers": sanitized_tests,
    "threads": thread_tests,
    "portable": portable_builds,
    "simulator": simulated_clusters,
    "python": python_tests,
    "chaos": chaos,
}


def main(arguments: Sequence[str]) -> int:
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        print(f"no such part: {' '.join(unknown)}; there are: {' '.join(PARTS)}", file=sys.stderr)
        return 2
    os.chdir(Path(__file__).resolve().parents[2])
    return run_until_failure([PARTS[name] for name in arguments or PARTS])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
