# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from tests.smoke.conftest import nat_network

__all__ = ["nat_network"]
