# SPDX-License-Identifier: BSD-3-Clause
"""The command line against a controller in a thread of this process; what a verb does to processes is tested in
tests/integration."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shoal import controller_conversion as convert
from shoal import conversion, errors
from shoal.cli.main import app
from shoal.cli.state import key_of, text_of
from shoal.errors import InvalidRequestError
from shoal.model import (
    ClassState,
    ClusterStatus,
    Event,
    Field,
    InstanceState,
    InstanceStatus,
    OperationUpdate,
    PlanState,
    PlanStatus,
    StateObject,
    TrafficReport,
)
from shoal.proto import common_pb2, controller_pb2, controller_pb2_grpc
from shoal.rpc import Server
from shoal.run_directory import RunDirectory

INSTANCE = InstanceStatus(
    "nat-1", 0, 1, InstanceState.ACTIVE, 42, "", 256, 16384, 5500, 7, 3, "", "/run/x", "127.0.0.1:9466", "normal"
)
PLAN = PlanStatus(2, 2, "scale_out", PlanState.COMPLETE, ("nat-2",), (), 8192, 128, 128, 0, 0, 55, 999, 3, 12.5)
STATUS = ClusterStatus("nat", "nat", 4, 2, 1, (INSTANCE,), PLAN, 1, True, 10, 11, 3.5)
OBJECT = StateObject(
    "nat.mapping",
    "nat-1",
    "nat-2",
    "held",
    2**40,
    9,
    15,
    (Field("address", "10.0.0.1"), Field("port", 1234)),
    (Field("translation", (Field("port", 2**63),)), Field("taken", (Field("0", 1), Field("1", 2)), array=True)),
)
CLASSES = (
    ClassState("nat.mapping", False, 8, 40, 0, 64),
    ClassState("nat.reverse", False, 8, 24, 7, None, at_least=True, remark="no answer"),
    ClassState("nat.pool", True, 8, 64, None, None, remark="no answer"),
)


class Controller(controller_pb2_grpc.ControllerServiceServicer):
    """Answers with what it was given."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: list[Any] = []
        self.sending = True

    def _note(self, request: Any) -> None:
        self.asked.append(request)
        if self.error is not None:
            raise self.error

    async def GetStatus(self, request: Any, context: Any) -> Any:
        self._note(request)
        status = convert.status_to_proto(STATUS)
        status.last_event = 1
        return status

    async def Scale(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._note(request)
        yield convert.update_to_proto(OperationUpdate("hand_over", "60 of 128", 60, 128, plan=PLAN))
        yield convert.update_to_proto(OperationUpdate("done", "2 instances now", done=True, plan=PLAN))

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._note(request)
        yield conversion.event_to_proto(Event(1, 10**18, "plan.completed", "2", "moved", {"kind": "scale_out"}))

    async def RunTask(self, request: Any, context: Any) -> Any:
        self._note(request)
        return controller_pb2.RunTaskReply()

    async def GetStatistics(self, request: Any, context: Any) -> Any:
        self._note(request)
        row = common_pb2.Statistic(name="polls_total", value=1)
        component = controller_pb2.ComponentStatistics(component="nat-1", process=42, statistics=[row])
        return controller_pb2.ClusterStatistics(components=[component])

    async def ListClasses(self, request: Any, context: Any) -> Any:
        self._note(request)
        return common_pb2.ListClassesReply(classes=[convert.class_to_proto(each) for each in CLASSES])

    async def GetState(self, request: Any, context: Any) -> Any:
        self._note(request)
        return controller_pb2.GetStateReply(objects=[convert.object_to_proto(OBJECT)])

    async def ListState(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._note(request)
        for _ in range(request.limit):
            yield convert.object_to_proto(OBJECT)

    async def GetTraffic(self, request: Any, context: Any) -> Any:
        self._note(request)
        counts = ("sent", "received", "elapsed_s", "sent_pps", "responses_sent", "requested_pps", "lost")
        more = ("reordered", "duplicated", "corrupted")
        shoal: dict[str, Any] = dict.fromkeys((*counts, *more), 44)
        shoal |= {"mappings": {"violations": 0}, "flows": {"started": 1, "live": 1}}
        shoal |= {"latency_us": dict.fromkeys(("p50", "p99", "p999", "max"), 1.0)}
        shoal |= {"late": {"max_us": 0.0, "slipped_ms": 0.0}}
        faults = ("44 packets were lost",)
        report = TrafficReport(self.sending, "churn.py", json.dumps({"shoal": shoal}), faults)
        return conversion.traffic_to_proto(report)


class Shell:
    """Verbs against the controller."""

    def __init__(self, directory: Path, controller: Controller) -> None:
        self.controller = controller
        self._directory = directory

    def __call__(self, *words: str, expect: int = 0) -> str:
        environment = {"SHOAL_RUN_DIRECTORY": str(self._directory), "COLUMNS": "200"}
        result = CliRunner().invoke(app, list(words), env=environment)
        assert result.exit_code == expect, result.output
        return result.output


@pytest.fixture
def shell(run_directory: RunDirectory) -> Iterator[Shell]:
    run_directory.create()
    controller = Controller()  # type: ignore[abstract]
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = Server(
            run_directory.controller.address,
            [],
            lambda made: controller_pb2_grpc.add_ControllerServiceServicer_to_server(controller, made),
        )
        await server.start()
        ready.set()
        await stop.wait()
        await server.stop(0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield Shell(run_directory.path, controller)
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def test_status_as_text_and_as_json(shell: Shell) -> None:
    text = shell("status")
    assert "nat: 1 instance of nat (1 wanted), epoch 2, term 4, splitter runs" in text
    assert "plan 2, scale out, complete: 128 of 128 steering slots redirected" in text
    document = json.loads(shell("status", "--json"))
    assert document["instances"][0]["name"] == "nat-1"
    assert (document["instances"][0]["objects"], document["instances"][0]["objects_held"]) == (5500, 7)
    assert " 5500 " in text
    assert document["instances"][0]["state"] == "active"
    assert document["plan"]["state"] == "complete"


def test_scale_tells_its_result_or_all_its_steps(shell: Shell) -> None:
    text = shell("scale", "nat", "2")
    assert "2 instances now" in text
    assert "scale out in 12 ms: 8192 slots and 55 objects moved, at most 3 packets parked" in text
    steps = [json.loads(line) for line in shell("scale", "nat", "2", "--json").splitlines()]
    assert [(step["stage"], step["done"]) for step in steps] == [("hand_over", False), ("done", True)]
    assert (shell.controller.asked[-1].network_function, shell.controller.asked[-1].instances) == ("nat", 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ShoalError("no"), 1),
        (errors.InvalidRequestError("no"), 2),
        (errors.UnreachableError("no"), 3),
        (errors.ConfigError([errors.ConfigFault("a", 1, 2, "b", "no")]), 4),
        (errors.NotFoundError("no"), 5),
        (errors.RefusedError("no"), 6),
        (errors.NoRoomError("no"), 6),
        (errors.DeadlineError("no"), 7),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(shell: Shell, error: Exception, code: int) -> None:
    shell.controller.error = error
    assert "no" in shell("status", expect=code)
    document = json.loads(shell("status", "--json", expect=code))
    assert document["exit_code"] == code


def test_without_a_controller_the_exit_code_says_so(run_directory: RunDirectory) -> None:
    result = CliRunner().invoke(app, ["-d", str(run_directory.path), "status"])
    assert result.exit_code == 3


@pytest.mark.parametrize(
    "words",
    [
        ("scale", "nat", str(2**32)),
        ("events", "--after", "-1"),
        ("events", "--after", str(2**64)),
        ("deaths", "--keys", "--view", str(2**64)),
        ("deaths", "--keys", "--limit", str(2**32)),
        ("deaths", "--fate", "lost"),  # chooses among keys, and none are asked for
        ("state", "list", "nat.mapping", "--limit", str(2**32)),
        ("traffic", "run", "imix.py", "--packets", "10"),  # without --pcap it would go on for ever
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(shell: Shell, words: tuple[str, ...]) -> None:
    shell(*words, expect=2)
    assert not shell.controller.asked


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("scale", "nat"), "Missing argument"),
        (("scale", "nat", "many"), "Invalid value"),
        (("status", "--frobnicate"), "--frobnicate"),
        (("traffic", "jump"), "jump"),
        (("vanish",), "vanish"),
        (("--vanish", "status"), "--vanish"),
    ],
)
def test_a_wrong_command_line_is_told_as_text_or_as_json(shell: Shell, words: tuple[str, ...], reason: str) -> None:
    assert "Usage: " in shell(*words, expect=2)
    document = json.loads(shell(*words, "--json", expect=2))
    assert (document.keys(), document["exit_code"]) == ({"error", "exit_code"}, 2)
    assert reason in document["error"]


@pytest.mark.parametrize("words", [("demo", "--frobnicate", "--json", "x"), ("status", "--frobnicate", "--", "--json")])
def test_a_wrong_command_line_that_asks_for_no_json_on_the_screen(shell: Shell, words: tuple[str, ...]) -> None:
    assert "Usage: " in shell(*words, expect=2)


def test_a_run_directory_that_is_a_file_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["-d", str(tmp_path / "file"), "status"])
    assert (result.exit_code, result.output) == (1, f"shoal: {tmp_path}/file/grpc.socket: Not a directory\n")


def test_down_touches_no_directory_in_which_nothing_was_deployed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "instances" / "letters").mkdir(parents=True)
    (tmp_path / "log").touch()
    for more in ([], ["--json"]):
        result = CliRunner().invoke(app, ["-d", str(tmp_path), "down", *more])
        assert (result.exit_code, "nothing runs" in result.output) == (0, True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["instances", "letters", "log"]


def test_a_file_that_is_no_text_is_a_configuration_that_is_refused(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "nat.yaml").write_bytes(b"\xff\xfe\x00")
    assert "is no text" in shell("up", str(tmp_path / "nat.yaml"), expect=4)
    document = json.loads(shell("up", str(tmp_path / "nat.yaml"), "--json", expect=4))
    assert document["faults"][0]["reason"] == "is no text in UTF-8"


@pytest.mark.parametrize(
    "words", [("demo", "--json"), ("demo", "--picture"), ("bench", "parse", "--json"), ("bench", "parse", "--plot")]
)
def test_a_result_that_could_not_be_written_is_refused_before_the_work(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, str(tmp_path / "no" / "x")])
    assert (result.exit_code, f"there is no directory {tmp_path}/no" in result.output) == (2, True)


def test_words_behind_a_task_are_its_arguments(shell: Shell) -> None:
    shell("task", "ports", "203.0.113.1", "udp")
    shell("task", "ports", "203.0.113.1 udp")
    assert [asked.arguments for asked in shell.controller.asked] == ["203.0.113.1 udp"] * 2


def test_statistics_of_a_component_that_is_not_there(shell: Shell) -> None:
    assert "figure" in shell("statistics", "nat-1")
    assert "there is no 'nat-2': nat-1" in shell("statistics", "nat-2", expect=5)


def test_events_that_are_kept_are_shown_once(shell: Shell) -> None:
    assert "plan.completed" in shell("events", "--no-follow")
    [event] = [json.loads(line) for line in shell("events", "--no-follow", "--json").splitlines()]
    assert event["fields"] == {"kind": "scale_out"}


def test_how_many_objects_there_are_is_shown_as_far_as_it_is_known(shell: Shell) -> None:
    text = shell("state", "classes")
    assert [line.split()[0] for line in text.splitlines() if "nat." in line] == [each.name for each in CLASSES]
    assert "at least 7" in text
    assert "unknown" in text
    assert text.count("the server's") == 2
    assert text.count("no answer") == 1
    found = json.loads(shell("state", "classes", "--json"))
    known = [(each["objects"], each["capacity"], each["at_least"]) for each in found]
    assert known == [(0, 64, False), (7, None, True), (None, None, False)]


def test_an_object_is_shown_by_its_fields(shell: Shell) -> None:
    text = shell("state", "get", "nat.mapping", "10.0.0.1:1234/udp")
    assert "nat.mapping address=10.0.0.1 port=1234" in text
    assert f"translation={{port={2**63}}} taken=[1 2]" in text
    [document] = json.loads(shell("state", "get", "nat.mapping", "address=10.0.0.1", "port=1234", "--json"))
    assert document["object"] == {"translation": {"port": 2**63}, "taken": [1, 2]}
    assert [(each.name, each.value) for each in shell.controller.asked[-1].key] == [
        ("address", "10.0.0.1"),
        ("port", "1234"),
    ]


def test_a_list_is_one_object_a_line(shell: Shell) -> None:
    lines = shell("state", "list", "nat.mapping", "--limit", "3", "--json").splitlines()
    assert [json.loads(line)["lease"] for line in lines] == [9, 9, 9]
    assert "the first 3" in shell("state", "list", "nat.mapping", "--limit", "3")


def test_keys_in_both_forms() -> None:
    assert key_of(["10.0.0.1:1/udp"]) == {"": "10.0.0.1:1/udp"}
    assert key_of(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    for words in (["a=1", "b"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(InvalidRequestError):
            key_of(words)


def test_fields_of_every_kind_have_a_text() -> None:
    fields = (Field("raw", b"\x01\xff"), Field("real", 0.5), Field("true", True), Field("negative", -1))
    assert text_of(fields) == "raw=01ff real=0.5 true=True negative=-1"


def test_fields_survive_the_wire() -> None:
    fields = (
        *OBJECT.key,
        *OBJECT.object,
        Field("raw", b"\x01"),
        Field("real", 0.5),
        Field("true", True),
        Field("negative", -1),
        Field("empty", ()),
    )
    assert tuple(convert.field_from_proto(convert.field_to_proto(field)) for field in fields) == fields


def test_help_has_the_exit_codes_and_every_verb(shell: Shell) -> None:
    text = shell("--help")
    assert "130: interrupted" in text
    for verb in ("up", "status", "scale", "events", "state", "drain", "remove", "down", "doctor", "verify"):
        assert f" {verb} " in text
        assert "--help" in shell(verb, "--help")


def test_packets_under_way_are_not_lost_yet(shell: Shell) -> None:
    text = shell("traffic", "show")
    assert "under way or lost 44" in text
    assert "were lost" not in text
    shell.controller.sending = False
    text = shell("traffic", "show")
    assert "44 packets were lost" in text
    assert "it has ended" in text


def test_doctor_cuts_nothing_off_where_lines_are_short() -> None:
    """As in a pipe, whose width is 80."""
    findings = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).output)
    text = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "80"}).output
    for finding in findings:
        assert finding["subject"] in text
        assert finding["remedy"] in text
    assert "…" not in text


def test_doctor_as_json() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code in (0, 1)
    findings = json.loads(result.output)
    assert {"subject", "severity", "text", "remedy"} == set(findings[0])
    assert (result.exit_code == 1) == any(finding["severity"] == "fault" for finding in findings)


def test_only_what_draws_loads_the_library_that_draws() -> None:
    program = "import sys, shoal.cli.main; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
