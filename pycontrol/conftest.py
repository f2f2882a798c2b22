# SPDX-License-Identifier: BSD-3-Clause
"""Tests run against the installed packages, which hold what the build makes (the extension, the protobuf modules).
Those are imported here, before pytest looks for a test file's parents: only the tests come from the source tree."""

import importlib
import pkgutil
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import shoal
import shoal_dataplane
from shoal.run_directory import RunDirectory

for package in (shoal, shoal_dataplane):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.ispkg:
            importlib.import_module(module.name)


@pytest.fixture
def run_directory() -> Iterator[RunDirectory]:
    """A run directory that is not there yet, with a path short enough for sockets in it (tmp_path's are not)."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-"))
    yield RunDirectory(folder / "run")
    shutil.rmtree(folder)
