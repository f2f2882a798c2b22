# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.network import Network, network, permitted


@pytest.fixture
def nat_network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """Client and server with a NAT's place between them; what its links dropped is shown when the test fails."""
    if not permitted():
        pytest.skip("needs root, for network namespaces")
    with network() as made:
        failed_before = request.session.testsfailed
        yield made
        if request.session.testsfailed > failed_before:
            print(f"dropped by the links: {made.link_drops()}")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: a Unix socket's must not exceed 107 characters."""
    with tempfile.TemporaryDirectory(prefix="shoal-") as made:
        yield Path(made)
