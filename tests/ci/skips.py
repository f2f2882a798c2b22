# SPDX-License-Identifier: BSD-3-Clause
"""Which tests may be skipped in CI: those that tests/allowed_skips.txt lists with a reason."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ALLOWED = Path(__file__).resolve().parents[1] / "allowed_skips.txt"


def strict() -> bool:
    """Whether a skipped test is a failure here."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def allowed(path: Path = ALLOWED) -> dict[str, str]:
    """Test name → reason. Lines are `name: reason`; `#` starts a comment. ValueError where a reason is missing."""
    reasons = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        name, separator, reason = text.partition(": ")
        if not separator or not reason.strip():
            raise ValueError(f"{path.name}:{number}: expected `name of the test: reason`")
        reasons[name.strip()] = reason.strip()
    return reasons


def unexpected(skipped: Iterable[str]) -> list[str]:
    """The skipped tests that no line allows."""
    reasons = allowed()
    return sorted(name for name in skipped if name not in reasons)
