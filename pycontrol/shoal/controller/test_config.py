# SPDX-License-Identifier: BSD-3-Clause
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.controller.config import (
    BetweenHosts,
    Config,
    Host,
    Instances,
    Metrics,
    NetworkFunction,
    Remote,
    Runner,
    Splitter,
    parse,
)
from shoal.errors import ConfigError
from shoal.model import StatePlane

GOOD = """\
network_function:
  name: nat
  settings:
    public_addresses: 192.0.2.1
    decrement_ttl: true
ports:
  inside: {device: "net_null0"}
  outside: {device: "net_null1"}
instances:
  count: 2
  runner: {cpus: [0, 1], idle: spin}
metrics: {address: "127.0.0.1:9464"}
"""


def faults(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "nat.yaml")
    return [(fault.line, fault.field, fault.reason) for fault in caught.value.faults]


def test_a_good_file_is_taken() -> None:
    config = parse(GOOD, "nat.yaml")
    assert config.deployment == "nat"
    assert config.instances.count == 2
    assert [config.instances.runner.settings(index).cpu for index in range(3)] == [0, 1, 0]
    assert config.network_function.setting_texts == {"public_addresses": "192.0.2.1", "decrement_ttl": "true"}


def test_all_faults_are_told_with_line_and_field() -> None:
    text = GOOD.replace("count: 2", "count: 65").replace("idle: spin", "idle: snooze").replace("metrics", "metric")
    found = faults(text)
    assert [(line, field) for line, field, _ in found] == [
        (10, "instances.count"),
        (11, "instances.runner.idle"),
        (12, "metric"),
    ]
    assert found[0][2] == "must be at most 64, not 65"
    assert found[2][2] == "there is no such field"


def test_a_missing_field_points_to_its_section() -> None:
    assert faults(GOOD.replace("  name: nat\n", "")) == [(1, "network_function.name", "is missing")]


@pytest.mark.parametrize(
    ("text", "line"),
    [("ports: [", 1), ("ports:\n  a: 1\n  a: 2\n", 3), ("\tname: x", 1), ("a: &x 1\nb: *y\n", 2)],
)
def test_what_is_not_yaml_points_to_its_line(text: str, line: int) -> None:
    assert faults(text)[0][0] == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 20_000, "is nested too deeply"),
        ("{a: " * 20_000, "is nested too deeply"),
        ("ports: " + "9" * 10_000, "is not YAML"),
        ("ports: 2026-99-99\n", "is not YAML"),
    ],
)
def test_what_no_reader_can_take_is_refused_as_the_files_fault(text: str, reason: str) -> None:
    assert faults(text)[0][2].startswith(reason)


@pytest.mark.parametrize("argument", ["--help", "--hel", "-h", "-vh", "--proc-type=secondary", "--proc-type", "a\0b"])
def test_an_eal_argument_that_would_end_the_process_is_refused(argument: str) -> None:
    text = GOOD.replace("  count: 2", f"  count: 2\n  eal: [{json.dumps(argument)}]")
    assert faults(text)[0][1] == "instances.eal[0]"


@pytest.mark.parametrize("text", ["", "- 1", "42", "null"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    assert faults(text)[0][2] == "is no mapping of fields"


def test_a_ring_that_is_no_power_of_two_is_refused() -> None:
    assert faults(GOOD + "splitter: {ring_bytes: 100000}\n") == [
        (13, "splitter.ring_bytes", "100000 is not a power of two")
    ]


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("instances: 3\n", "instances", "must be a section of fields, not 3"),
        ("instances: {count: 1.5}\n", "instances.count", "must be a whole number, not 1.5"),
        ("instances: {count: many}\n", "instances.count", "must be a whole number, not 'many'"),
        ("instances: {count: 0}\n", "instances.count", "must be at least 1, not 0"),
        ("instances: {count: 65}\n", "instances.count", "must be at most 64, not 65"),
        ("instances: {eal: 7}\n", "instances.eal", "must be a list, not 7"),
        ("name: 7\n", "name", "must be a text, not 7"),
        ("name: Big\n", "name", "must match ^[a-z][a-z0-9_-]{0,15}$, not 'Big'"),
        ("ports: {}\n", "ports", "must name at least 1"),
        ("ports: {inside: {device: ''}}\n", "ports.inside.device", "must not be empty"),
        ("on_death: panic\n", "on_death", "must be 'replace' or 'shrink', not 'panic'"),
        ("splitter: {packets: 3}\n", "splitter.packets", "must be at least 512, not 3"),
        ("splitter: maybe\n", "splitter", "must be a section of fields or false, not 'maybe'"),
    ],
)
def test_a_reason_says_what_must_be_in_words_of_the_file(text: str, field: str, reason: str) -> None:
    rest = "network_function: {name: nat}\n" + ("" if "ports" in text else "ports: {inside: {device: x}}\n")
    assert [(named, told) for _, named, told in faults(rest + text)] == [(field, reason)]


def test_without_a_splitter_each_instance_needs_devices_of_its_own() -> None:
    assert "{member}" in faults(GOOD + "splitter: false\n")[0][2]
    own = GOOD.replace("net_null0", "net_null{member}0").replace("net_null1", "net_null{member}1")
    assert parse(own + "splitter: false\n", "x").splitter is False


def taken_or_refused(text: str) -> None:
    """Nothing but a ConfigError with its faults may come out of a file."""
    try:
        result: Config | ConfigError = parse(text, "fuzz")
    except ConfigError as error:
        result = error
    assert isinstance(result, Config) or result.faults


@given(st.text(max_size=200))
def test_any_text_is_a_config_or_faults(text: str) -> None:
    taken_or_refused(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(alphabet="abc: {}", max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(Config.model_fields)), inner),
        max_leaves=12,
    )
)
def test_any_document_is_a_config_or_faults(document: object) -> None:
    taken_or_refused(json.dumps(document))


SOURCE = Path(__file__).parents[3]


def test_every_field_is_documented_with_its_default() -> None:
    text = (SOURCE / "docs" / "configuration.md").read_text()
    for section in (Config, Instances, Splitter, Runner, Host, BetweenHosts, Remote, Metrics, NetworkFunction):
        for name, field in section.model_fields.items():
            assert f"{name}`" in text or f"{name}." in text, f"{section.__name__}.{name}"
            if isinstance(field.default, int) and not isinstance(field.default, bool):
                assert f"| `{name}` | {field.default} |" in text, f"{section.__name__}.{name}"


def test_the_examples_are_good() -> None:
    examples = sorted((SOURCE / "deploy" / "examples").glob("*.yaml"))
    assert [parse(path.read_text(), path.name).deployment for path in examples] == ["nat", "nat"]


def test_planes_fit_their_sections() -> None:
    remote = GOOD + 'plane: remote\nremote: {address: "unix:/run/redis/socket"}\n'
    config = parse(remote, "nat.yaml")
    assert config.state_plane == StatePlane("remote", "unix:/run/redis/socket", "nat")
    assert parse(remote.replace('socket"}', 'socket", name: mine}'), "nat.yaml").state_plane.name == "mine"
    assert parse(GOOD, "nat.yaml").state_plane == StatePlane("shared")
    assert config.pipe_runner(0) is None
    piped = parse(remote.replace('socket"}', 'socket", pipe: true, pipe_cpus: [4, 5]}'), "nat.yaml")
    first, worker = piped.pipe_runner(0), piped.instances.runner.settings(0)
    assert first is not None
    assert (first.cpu, first.idle, first.idle_polls) == (4, worker.idle, worker.idle_polls)
    assert [runner.cpu for member in range(3) if (runner := piped.pipe_runner(member))] == [4, 5, 4]
    alone = GOOD.replace("count: 2", "count: 1") + "plane: local\n"
    assert parse(alone, "nat.yaml").state_plane == StatePlane("local")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("plane: local\n", "plane local: nothing is shared, so there can be one instance only"),
        ("plane: remote\n", "needs the section `remote` with the address of a Redis or Valkey server"),
        ('remote: {address: "127.0.0.1:6379"}\n', "counts with `plane: remote` alone, and the plane is shared"),
        ("plane: far\n", "must be 'shared', 'local' or 'remote', not 'far'"),
        ('plane: remote\nremote: {address: "localhost:6379"}\n', "numeric host:port"),
        ('plane: remote\nremote: {address: "unix:socket"}\n', "named by its whole path"),
        (f'plane: remote\nremote: {{address: "unix:/{"x" * 200}"}}\n', "at most 107 bytes"),
        (f'plane: remote\nremote: {{address: "unix:/{"é" * 60}"}}\n', "at most 107 bytes"),
        ('plane: remote\nremote: {address: "127.0.0.1:70000"}\n', "numeric host:port"),
        ('plane: remote\nremote: {address: "127.0.0.1:1", pipe: 2}\n', "valid boolean"),
        ('plane: remote\nremote: {address: "127.0.0.1:1", pipe_cpus: [1]}\n', "counts with `pipe: true` alone"),
        ("remote: {pipe: true}\n", "is missing"),
        ('plane: remote\nremote: {address: "127.0.0.1:1", pipe: true, pipe_cpus: [2, 1]}\n', "CPU 1 is a worker's too"),
    ],
)
def test_planes_that_do_not_fit_are_refused(text: str, reason: str) -> None:
    assert any(reason in found for _, _, found in faults(GOOD + text)), faults(GOOD + text)
