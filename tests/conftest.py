# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: a Unix socket's must not exceed 107 characters."""
    with tempfile.TemporaryDirectory(prefix="shoal-") as made:
        yield Path(made)
