# SPDX-License-Identifier: BSD-3-Clause
"""Rows and documents: medians over runs, files, comparisons, labels."""

from pathlib import Path

import pytest

from shoal.bench import comparison, document, picture
from shoal.bench.comparison import Change
from shoal.bench.document import Document, Failure, Row, row_of
from shoal.errors import ConfigError


def row(value: float, ratio: float | None = None, **parameters: str | float) -> Row:
    return Row(tuple(parameters.items()), value, "Mpps", ratio_to_ideal=ratio, q1=value, q3=value)


def test_runs_become_medians_with_quartiles() -> None:
    runs = [[row(value, value / 10, nf="nat", flows=1)] for value in (5.0, 1.0, 4.0, 2.0, 3.0)]

    (median,) = document.aggregated(runs)

    assert (median.value, median.q1, median.q3, median.runs) == (3.0, 2.0, 4.0, 5)
    assert median.ratio_to_ideal == 0.3
    assert "other load" in median.limited_by


def test_rows_of_other_parameters_or_units_stay_apart() -> None:
    other_unit = Row((("flows", 1),), 9.0, "ns")

    rows = document.aggregated([[row(1, flows=1), row(2, flows=2), other_unit], [row(3, flows=1)]])

    assert [(one.value, one.runs) for one in rows] == [(2.0, 2), (2.0, 1), (9.0, 1)]


def test_a_single_run_has_itself_as_quartiles() -> None:
    (one,) = document.aggregated([[row(4, flows=1)]])

    assert (one.q1, one.q3, one.limited_by) == (4.0, 4.0, "")


def test_a_document_survives_its_file(tmp_path: Path) -> None:
    failed = (Failure("planes", "run 1 of 7: no server"),)
    rows = (row(1.5, 0.9, nf="nat", flows=65536, blocked=0.01),)
    written = Document({"cores": 2}, rows, ({"name": "a"},), failed, interrupted=True)

    document.write(written, tmp_path / "rows.json")

    assert document.read(tmp_path / "rows.json") == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"rows": []}',
        '{"machine": [], "rows": []}',
        '{"machine": {}, "rows": {}}',
        '{"machine": {}, "rows": [1]}',
        '{"machine": {}, "rows": [{"unit": "ns"}]}',
        '{"machine": {}, "rows": [{"unit": "ns", "value": 1, "flows": [1]}]}',
        '{"machine": {}, "rows": [], "failed": [{"benchmark": "limit"}]}',
        '{"machine": {}, "rows": [], "failed": "limit"}',
        "[" * 100000,
    ],
)
def test_what_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text)

    with pytest.raises(ConfigError, match=r"rows\.json: is not what"):
        document.read(tmp_path / "rows.json")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        document.read(tmp_path / "none.json")


def test_ratios_decide_what_has_changed() -> None:
    before = Document({}, (row(50, 0.90, flows=1), row(50, 0.90, flows=2), row(50, 0.90, flows=3)))
    now = Document({}, (row(20, 0.91, flows=1), row(90, 0.70, flows=2), row(40, 0.99, flows=3), row(1, flows=4)))

    changes = [difference.change for difference in comparison.compare(now, before)]

    assert changes == [Change.SAME, Change.WORSE, Change.BETTER, Change.NEW]


def test_less_time_is_better() -> None:
    before = Document({}, (Row((("a", 1),), 100.0, "ns", q1=100, q3=100),))
    now = Document({}, (Row((("a", 1),), 50.0, "ns", q1=50, q3=50),))

    assert [difference.change for difference in comparison.compare(now, before)] == [Change.BETTER]


def test_another_machine_is_remarked() -> None:
    (remark,) = comparison.remarks(Document({"cpu_model": "b"}, ()), Document({"cpu_model": "a"}, ()))

    assert "cpu_model was a, and is b" in remark
    assert comparison.remarks(Document({"cpu_model": "b"}, ()), Document({"memory_pages": "2 MiB"}, ())) == []


def test_labels_say_what_differs() -> None:
    rows = [row(1, nf="nat", plane="ideal", flows=64), row(1, nf="nat", plane="shared", flows=64)]

    assert [picture.label(one, rows) for one in rows] == ["ideal", "shared"]


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    rows = (row(1, benchmark="a", flows=1), row(200, benchmark="a", flows=2), row(3, benchmark="b", flows=1))
    series = ({"panel": "p99", "name": "control", "x": [0, 1], "y": [5.0, 6.0], "marked": [1]},)

    picture.draw(Document({}, rows, series), tmp_path / "rows.png")

    assert (tmp_path / "rows.png").read_bytes().startswith(b"\x89PNG")


def test_a_row_needs_a_value_and_a_unit() -> None:
    with pytest.raises(KeyError):
        row_of({"value": 1})
    with pytest.raises(ValueError, match="could not convert"):
        row_of({"value": "fast", "unit": "ns"})
