# SPDX-License-Identifier: BSD-3-Clause
from pathlib import Path

from tests.ci import reading_order


def folder_with(tmp_path: Path, readme: str) -> tuple[Path, list[str]]:
    (tmp_path / "a.c").write_text("int a;\n")
    (tmp_path / "b.c").write_text("int b;\n")
    (tmp_path / "b_test.c").write_text("int c;\n")
    (tmp_path / "README.md").write_text(readme)
    return tmp_path, [str(path) for path in tmp_path.iterdir()]


def test_complete_list_is_good(tmp_path: Path) -> None:
    folder, names = folder_with(tmp_path, "- `a.c` first\n- `b.c` then\n")
    assert reading_order.faults(folder, names, (".c",)) == []


def test_missing_gone_and_doubled_files_are_found(tmp_path: Path) -> None:
    folder, names = folder_with(tmp_path, "- `b.c` `gone.c` x\n1. `b.c` again\n")
    faults = reading_order.faults(folder, names, (".c",))
    assert len(faults) == 3
    assert "does not list a.c" in faults[0]
    assert "gone.c, which is gone" in faults[1]
    assert "b.c twice" in faults[2]


def test_missing_readme_is_a_fault(tmp_path: Path) -> None:
    assert len(reading_order.faults(tmp_path, [], (".c",))) == 1
