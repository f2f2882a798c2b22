# SPDX-License-Identifier: BSD-3-Clause
"""A benchmark that fails, or a user who interrupts, costs nobody else's rows."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from shoal.bench import program
from shoal.bench.program import Settings
from shoal.cli.main import app
from shoal.errors import DeadlineError

BUILT = program.FOLDER
GOOD = """echo '{"rows": [{"stage": "all", "value": 1.5, "unit": "Mpps", "limited_by": "memory"}]}'"""
BAD = 'for i in 1 2 3 4 5 6; do echo "line $i" >&2; done; exit 3'


def make(folder: Path, name: str, script: str) -> None:
    path = folder / f"{name}_bench"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs of the test's own; `parse` is the real one."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "parse_bench").symlink_to(BUILT / "parse_bench")
    monkeypatch.setattr(program, "FOLDER", folder)
    return folder


def bench(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["bench", *map(str, words)])


def written(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def names(document: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["benchmark"] for row in document["rows"]))


def test_the_others_go_on_and_the_failure_is_named(programs: Path, tmp_path: Path) -> None:
    make(programs, "limit", BAD)
    make(programs, "splitter", "kill -SEGV $$")
    rows, plot = tmp_path / "rows.json", tmp_path / "rows.png"

    answer = bench("limit", "splitter", "parse", "--quick", "--json", rows, "--plot", plot)

    assert answer.exit_code == 1
    document = written(rows)
    assert names(document) == ["parse"]
    assert document["failed"] == [
        {
            "benchmark": "limit",
            "reason": "run 1 of 1: limit_bench ended with status 3\n  line 2\n  line 3\n  line 4\n  line 5\n  line 6",
        },
        {"benchmark": "splitter", "reason": "run 1 of 1: splitter_bench was ended by SIGSEGV"},
    ]
    assert "interrupted" not in document
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "benchmark limit failed in run 1 of 1: limit_bench ended with status 3" in answer.stderr
    assert "  line 6\n" in answer.stderr
    assert f"Alone: shoal bench limit; the program: {programs}/limit_bench --cpu" in answer.stderr
    assert answer.stderr.splitlines()[-1] == "shoal: without all of their runs: limit, splitter"


def test_a_real_one_without_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    answer = bench("planes", "parse", "--quick", "--json", tmp_path / "rows.json")

    assert answer.exit_code == 1
    document = written(tmp_path / "rows.json")
    assert names(document) == ["parse"]
    [failure] = document["failed"]
    assert failure["benchmark"] == "planes"
    assert "there is no redis-server" in failure["reason"]


def test_runs_before_the_one_that_failed_are_kept(programs: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    make(programs, "limit", f"echo x >> {count}; [ $(wc -l < {count}) -lt 3 ] || {{ {BAD}; }}\n{GOOD}")

    answer = bench("limit", "--runs", "5", "--json", tmp_path / "rows.json")

    assert answer.exit_code == 1
    document = written(tmp_path / "rows.json")
    assert [(row["value"], row["runs"]) for row in document["rows"]] == [(1.5, 2)]
    assert document["failed"][0]["reason"].startswith("run 3 of 5: ")
    assert len(count.read_text().splitlines()) == 3


def test_programs_with_other_pages_are_named(programs: Path, tmp_path: Path) -> None:
    pages = GOOD.replace('"rows"', '"machine": {"cpu": 1, "memory_pages": "PAGES"}, "rows"')
    make(programs, "limit", pages.replace("PAGES", "2 MiB"))
    make(programs, "planes", pages.replace("PAGES", "4 KiB"))
    make(programs, "splitter", GOOD)

    bench("limit", "splitter", "planes", "--quick", "--json", tmp_path / "some.json")
    bench("limit", "splitter", "--runs", "2", "--json", tmp_path / "all.json")

    assert written(tmp_path / "some.json")["machine"]["memory_pages"] == "2 MiB: limit; 4 KiB: planes"
    assert written(tmp_path / "all.json")["machine"]["memory_pages"] == "2 MiB"


def test_where_all_fail_there_is_no_picture(programs: Path, tmp_path: Path) -> None:
    (programs / "limit_bench").write_text("no program")

    answer = bench("limit", "--json", tmp_path / "rows.json", "--plot", tmp_path / "rows.png")

    assert answer.exit_code == 1
    assert "nothing was measured" in answer.stderr
    assert not (tmp_path / "rows.png").exists()
    document = written(tmp_path / "rows.json")
    assert (document["rows"], len(document["failed"])) == ([], 1)
    assert "can't be started" in document["failed"][0]["reason"]


def test_one_that_does_not_end_is_ended(programs: Path) -> None:
    make(programs, "limit", "echo 'measuring' >&2; exec sleep 300")

    with pytest.raises(DeadlineError, match="limit_bench has not ended after 1 s\n  measuring"):
        program.run("limit", Settings(0, None), 1.0)


def test_each_run_is_of_a_copy(programs: Path, tmp_path: Path) -> None:
    """The pages of one file would give all runs the same luck."""
    said = tmp_path / "said"
    make(programs, "limit", f"readlink $0 >> {said}; stat -L -c %i $0 >> {said}; {GOOD}")

    program.run("limit", Settings(0, None), 60.0)
    program.run("limit", Settings(0, None), 60.0)

    first, first_inode, second, second_inode = said.read_text().splitlines()
    assert first == second == "/memfd:limit_bench (deleted)"
    assert first_inode != second_inode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_what_was_measured(programs: Path, tmp_path: Path, number: signal.Signals) -> None:
    begun, rows = tmp_path / "begun", tmp_path / "rows.json"
    os.mkfifo(begun)
    make(programs, "limit", GOOD)
    make(programs, "fastpath", f"echo $$ > {begun}; exec sleep 300")
    script = (
        "from pathlib import Path; from shoal.bench import program; from shoal.cli.main import app;"
        f"program.FOLDER = Path({str(programs)!r}); app()"
    )
    words = ["bench", "limit", "fastpath", "parse", "--quick", "--json", str(rows)]

    shoal = subprocess.Popen([sys.executable, "-c", script, *words], stderr=subprocess.PIPE, text=True)
    child = int(begun.read_text())
    shoal.send_signal(number)
    _, said = shoal.communicate(timeout=30)

    assert shoal.returncode == 130
    document = written(rows)
    assert names(document) == ["limit"]
    assert document["interrupted"] is True
    assert document["failed"] == [
        {"benchmark": "fastpath", "reason": "interrupted in run 1 of 1"},
        {"benchmark": "parse", "reason": "not begun"},
    ]
    assert said.splitlines()[-1] == "interrupted: without all of their runs: fastpath, parse"
    assert not Path(f"/proc/{child}").exists()


def test_what_the_baseline_has_beside_it_is_said(programs: Path, tmp_path: Path) -> None:
    make(programs, "limit", GOOD)
    make(programs, "splitter", GOOD.replace("all", "other"))
    make(programs, "fastpath", BAD)
    bench("limit", "splitter", "fastpath", "parse", "--quick", "--json", tmp_path / "before.json")
    make(programs, "limit", BAD)
    make(programs, "splitter", GOOD)
    make(programs, "fastpath", GOOD)

    answer = bench("all", "--quick", "--against", "--baseline", tmp_path / "before.json")

    assert answer.exit_code == 1
    assert "limit: none of its 1 rows in the baseline has been measured now: not compared" in answer.stderr
    assert "splitter: none of its 1 rows in the baseline has been measured now" in answer.stderr
    why = "(it failed there: run 1 of 1: fastpath_bench ended with status 3)"
    assert f"fastpath: the baseline has no rows of it {why}: nothing to compare with" in answer.stderr
    assert "planes: the baseline has no rows of it: nothing to compare with" in answer.stderr
    assert "parse: " not in answer.stderr.replace("parse: run 1 of 1", "")


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["nonsense"], 2, "no such benchmark: nonsense; there are: limit"),
        (["limit", "--json", "/proc/rows.json"], 2, "/proc/rows.json can't be written"),
        (["limit", "--plot", "/proc/rows.png"], 2, "/proc/rows.png can't be written"),
        (["limit", "--json", "x" * 300], 2, "can't be written: File name too long"),
        (["limit", "--json", "same", "--plot", "same"], 2, "--json and --plot are two files"),
        (["--json", "rows.json"], 2, "name the benchmarks to measure, or 'all'"),
        (["limit", "--baseline", "rows.json"], 2, "--baseline counts with --against"),
        (["limit", "--against", "--baseline", "none.json"], 4, "none.json: No such file"),
        (["limit", "--against", "--baseline", "empty.json"], 4, "has no rows: there is nothing to compare with"),
        (["limit", "--against", "--baseline", "text.json"], 4, "is not what `shoal bench --json` writes"),
    ],
)
def test_what_can_not_be_is_said_before_anything_runs(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(programs, "limit", f"touch {tmp_path}/ran")
    (tmp_path / "empty.json").write_text('{"machine": {}, "rows": []}')
    (tmp_path / "text.json").write_text("figures")

    answer = bench(*words)

    assert answer.exit_code == status
    assert text in answer.stderr
    assert not (tmp_path / "ran").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.json", "programs", "text.json"]
