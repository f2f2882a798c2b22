# SPDX-License-Identifier: BSD-3-Clause
"""Records of the generator: good ones are good, each thing that can be wrong is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from shoal.traffic.report import DirectionFigures, MappingFigures, ShoalFigures, StreamFigures
from shoal.verify.generator_record import compare_records, judge_record, load_record
from shoal.verify.main import main
from shoal.verify.report import Fault

Change = Callable[[dict[str, Any]], None]


def direction(sent: int) -> dict[str, int]:
    return {"sent": sent, "received": sent, "lost": 0, "reordered": 0, "duplicated": 0, "corrupted": 0}


def document() -> dict[str, Any]:
    stream = {"name": "udp", "port": 0, "number": 1, "there": direction(1000), "back": direction(500)}
    other = {"name": "tcp", "port": 0, "number": 2, "there": direction(300), "back": direction(0)}
    return {
        "shoal": {
            "running": False,
            "sent": 1800,
            "unstamped_sent": 0,
            "unstamped_arrived": 0,
            "unknown_flow": 0,
            "flows": {"started": 70},
            "mappings": {"checked": 1800, "changed": 0, "shared": 0, "misled": 0},
            "streams": [stream, other],
        }
    }


def saved(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def lose(shoal: dict[str, Any]) -> None:
    shoal["streams"][0]["there"] |= {"received": 998, "lost": 2}


def direction_count(name: str) -> Change:
    return lambda shoal: shoal["streams"][1]["there"].update({name: 3})


def mapping_count(name: str) -> Change:
    return lambda shoal: shoal["mappings"].update({name: 3})


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda shoal: shoal.update(unstamped_sent=0), {}),
        (lose, {Fault.LOST: 2}),
        (direction_count("reordered"), {Fault.REORDERED: 3}),
        (direction_count("duplicated"), {Fault.DUPLICATED: 3}),
        (direction_count("corrupted"), {Fault.CORRUPTED: 3}),
        (mapping_count("changed"), {Fault.MAPPING_CHANGED: 3}),
        (mapping_count("shared"), {Fault.ENDPOINT_SHARED: 3}),
        (mapping_count("misled"), {Fault.MISDELIVERED: 3}),
        (lambda shoal: shoal.update(unknown_flow=4), {Fault.UNEXPECTED: 4}),
        (lambda shoal: shoal.update(unstamped_arrived=4), {Fault.UNEXPECTED: 4}),
        (lambda shoal: shoal.update(sent=1805), {Fault.BOOKS: 5}),
    ],
)
def test_one_record(change: Change, counts: dict[Fault, int], tmp_path: Path) -> None:
    content = document()
    change(content["shoal"])
    report = judge_record(load_record(saved(tmp_path / "run.json", content)))
    assert report.counts == counts
    assert report.good == (not counts)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda shoal: shoal["streams"][0].update(there=direction(1001)), Fault.INPUTS_DIFFER),
        (lambda shoal: shoal["streams"].pop(), Fault.INPUTS_DIFFER),
        (lambda shoal: shoal["flows"].update(started=71), Fault.INPUTS_DIFFER),
        (lose, Fault.OUTPUTS_DIFFER),
        (lose, Fault.LOST),
    ],
)
def test_two_records(change: Change, fault: Fault, tmp_path: Path) -> None:
    one = load_record(saved(tmp_path / "one.json", document()))
    assert compare_records(one, one).findings == []
    content = document()
    change(content["shoal"])
    many = load_record(saved(tmp_path / "many.json", content))
    assert compare_records(one, many).counts[fault] > 0
    assert compare_records(many, one).counts[fault] > 0


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, content = saved(tmp_path / "good.json", document()), document()
    lose(content["shoal"])
    bad = saved(tmp_path / "bad.json", content)
    assert main(["record", str(good)]) == 0
    assert main(["record", str(bad)]) == 1
    assert main(["record", str(bad), "--allow-loss", "2"]) == 0
    assert main(["records", str(good), str(good)]) == 0
    assert main(["records", str(good), str(bad)]) == 1
    capsys.readouterr()
    broken: object
    for broken in ({"shoal": {}}, [], running(), unchecked()):
        assert main(["record", str(saved(tmp_path / "broken.json", broken))]) == 2
        assert "broken.json" in capsys.readouterr().err


def running() -> dict[str, Any]:
    content = document()
    content["shoal"]["running"] = True
    return content


def unchecked() -> dict[str, Any]:
    content = document()
    content["shoal"]["mappings"]["checked"] = 0
    return content


def test_the_generator_writes_what_is_read() -> None:
    """The checker shares no code with the product, so that the names of the fields are what they have in common."""
    content = copy.deepcopy(document()["shoal"])
    for kind, used in (
        (ShoalFigures, content),
        (StreamFigures, content["streams"][0]),
        (DirectionFigures, content["streams"][0]["there"]),
        (MappingFigures, content["mappings"]),
    ):
        assert set(used) <= {field.name for field in fields(kind)}, kind
