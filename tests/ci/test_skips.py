# SPDX-License-Identifier: BSD-3-Clause
from pathlib import Path

import pytest

from tests.ci import skips


def test_reasons_are_read(tmp_path: Path) -> None:
    path = tmp_path / "skips.txt"
    path.write_text("# a comment\n\ntests/a.py::test_x[1]: needs AF_XDP\n")
    assert skips.allowed(path) == {"tests/a.py::test_x[1]": "needs AF_XDP"}


def test_entry_without_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "skips.txt"
    path.write_text("tests/a.py::test_x\n")
    with pytest.raises(ValueError, match=r"skips\.txt:1"):
        skips.allowed(path)


def test_the_lists_of_the_project_can_be_read() -> None:
    skips.allowed()


def test_unlisted_skip_is_unexpected() -> None:
    assert skips.unexpected(["no such test"]) == ["no such test"]
