# SPDX-License-Identifier: BSD-3-Clause
"""The meson build folders: one for each way to compile, so that none spoils another."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ci.steps import Run, Step

# With sanitizers GCC sees overreads in code that it would otherwise have found to be dead; `build` keeps -Werror.
SANITIZED = ["-Dbuildtype=debugoptimized", "-Dwerror=false", "-Dc_args=-Wno-stringop-overread", "-Db_lundef=false"]
OPTIONS = {
    "build": ["-Dbuildtype=release"],
    "build-v3": ["-Dbuildtype=release", "-Dmachine=x86-64-v3"],
    "build-v2": ["-Dbuildtype=release", "-Dmachine=x86-64-v2"],
    "build-asan": [*SANITIZED, "-Db_sanitize=address,undefined"],
    "build-tsan": [*SANITIZED, "-Db_sanitize=thread"],
    "build-fuzz": ["-Dbuildtype=debugoptimized", "-Dwerror=false", "-Dfuzz=true"],
}
ENVIRONMENT = {"build-fuzz": {"CC": "clang"}}


@dataclass(frozen=True)
class Target:
    """Something that ninja builds in a folder."""

    name: str
    path: str
    """What ninja calls it."""
    defined_in: str
    sources: tuple[str, ...]


def configure(run: Run, folder: str) -> int:
    """Makes the folder, or tells an old one the options of today. Exit status."""
    stamp, options = Path(folder) / ".options", " ".join(OPTIONS[folder])
    made = (Path(folder) / "build.ninja").exists()
    if made and stamp.exists() and stamp.read_text() == options:
        return 0
    command = ["meson", "setup", folder, *OPTIONS[folder], *(["--reconfigure"] if made else [])]
    status = run.step(Step(f"configure {folder}", command, 120, ENVIRONMENT.get(folder, {})))
    if not status:
        stamp.write_text(options)
    return status


def build(run: Run, folder: str, targets: Sequence[str] = ()) -> int:
    """Builds the targets, or all. Exit status."""
    return configure(run, folder) or run.step(Step(f"build {folder}", ["ninja", "-C", folder, *targets], 900))


def targets(folder: str) -> list[Target]:
    """The executables of a folder that has been configured."""
    found = []
    root = Path(folder).resolve()
    for target in _introspect(folder):
        if target["type"] == "executable":
            sources = [source for group in target["target_sources"] for source in group.get("sources", [])]
            path = str(Path(target["filename"][0]).resolve().relative_to(root))
            found.append(Target(target["name"], path, target["defined_in"], tuple(sources)))
    return found


def _introspect(folder: str) -> list[dict[str, Any]]:
    answer = subprocess.run(["meson", "introspect", "--targets", folder], check=True, capture_output=True)
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found
