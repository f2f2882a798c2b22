# SPDX-License-Identifier: BSD-3-Clause
"""`make test`: C tests, again under ASan and UBSan, the queues' under TSan, the simulator, then all Python tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.ci import skips
from tests.ci.steps import Run, Step, run_until_failure

SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=0:abort_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
CMOCKA_SKIPPED = re.compile(r"\[  SKIPPED \] (\w+)$")
BUILD_OPTIONS = {
    "build": ["-Dbuildtype=release"],
    "build-asan": ["-Dbuildtype=debugoptimized", "-Dwerror=false", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
    "build-tsan": ["-Dbuildtype=debugoptimized", "-Dwerror=false", "-Db_sanitize=thread", "-Db_lundef=false"],
}


def _configure(run: Run, folder: str) -> int:
    if (Path(folder) / "build.ninja").exists():
        return 0
    command = ["meson", "setup", folder, *BUILD_OPTIONS[folder]]
    return run.step(Step(f"configure {folder}", command, 120))


def _build(run: Run, folder: str, targets: Sequence[str] = ()) -> int:
    return _configure(run, folder) or run.step(Step(f"build {folder}", ["ninja", "-C", folder, *targets], 900))


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
    return _build(run, "build") or _meson_test(run, "build", [], {})


def sanitized_tests(run: Run) -> int:
    return _build(run, "build-asan") or _meson_test(run, "build-asan", [], SANITIZER_ENVIRONMENT)


def thread_tests(run: Run) -> int:
    """The lockless queues, whose tests run with two threads."""
    if status := _configure(run, "build-tsan"):
        return status
    names = _tests_of_queues("build-tsan")
    targets = [f"dataplane_c/{name}_test" for name in names]
    return _build(run, "build-tsan", targets) or _meson_test(run, "build-tsan", names, SANITIZER_ENVIRONMENT)


def _tests_of_queues(folder: str) -> list[str]:
    """Names of the tests whose source lies in dataplane_c/queue."""
    answer = subprocess.run(["meson", "introspect", "--targets", folder], check=True, capture_output=True)
    names = []
    for target in json.loads(answer.stdout):
        sources = [source for group in target["target_sources"] for source in group.get("sources", [])]
        if target["name"].endswith("_test") and any("/dataplane_c/queue/" in source for source in sources):
            names.append(target["name"].removesuffix("_test"))
    if not names:
        raise LookupError("no test of dataplane_c/queue in the build: it would pass unseen")
    return names


def python_tests(run: Run) -> int:
    command = [".venv/bin/python", "-m", "pytest", "-q", "-rs", "--durations=5"]
    return run.step(Step("python", command, 1200))


PARTS = {"c": c_tests, "sanitizers": sanitized_tests, "threads": thread_tests, "python": python_tests}


def main(arguments: Sequence[str]) -> int:
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        print(f"no such part: {' '.join(unknown)}; there are: {' '.join(PARTS)}", file=sys.stderr)
        return 2
    os.chdir(Path(__file__).resolve().parents[2])
    return run_until_failure([PARTS[name] for name in arguments or PARTS])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
