# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from collections.abc import Iterator

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
