# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable
from typing import Any

import pytest

from shoal.agent.checks import check_configuration, check_learn
from shoal.errors import InvalidRequestError
from shoal.proto import common_pb2, instance_pb2, splitter_pb2
from shoal.splitter.service import check_configuration as check_splitter
from shoal.validation import (
    require_at_most,
    require_between,
    require_length,
    require_member,
    require_name,
    require_path,
    require_text,
)

Check = Callable[[], object]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (lambda: require_member(63), lambda: require_member(64)),
        (lambda: require_name("name", "nat.mapping"), lambda: require_name("name", "../nat")),
        (lambda: require_name("name", "n" * 63), lambda: require_name("name", "n" * 64)),
        (lambda: require_name("name", "nat-1"), lambda: require_name("name", "")),
        (lambda: require_text("text", "a" * 65536), lambda: require_text("text", "a" * 65537)),
        (lambda: require_text("text", "a\nb"), lambda: require_text("text", "a\0b")),
        (lambda: require_text("text", "ä", 2), lambda: require_text("text", "ä", 1)),
        (lambda: require_path("path", "/run/shoal"), lambda: require_path("path", "run/shoal")),
        (lambda: require_path("path", "/a..b"), lambda: require_path("path", "/run/../etc")),
        (lambda: require_length("map", b"12", 2), lambda: require_length("map", b"123", 2)),
        (lambda: require_at_most("list", [1] * 256), lambda: require_at_most("list", [1] * 257)),
        (lambda: require_between("port", 0, 0, 9), lambda: require_between("port", 10, 0, 9)),
    ],
)
def test_what_fits_passes_and_what_does_not_is_refused(good: Check, bad: Check) -> None:
    good()
    with pytest.raises(InvalidRequestError):
        bad()


def configuration(**changes: Any) -> instance_pb2.ConfigureInstanceRequest:
    fields: dict[str, Any] = {"name": "nat-1", "nf_path": "/usr/lib/nat.so"} | changes
    return instance_pb2.ConfigureInstanceRequest(**fields)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "a/b"}, "is no name"),
        ({"member": 200}, "no member 200"),
        ({"nf_path": "nat.so"}, "no absolute path"),
        ({"settings": [common_pb2.Setting(name="x")] * 300}, "settings: 300 are too many"),
        ({"settings": [common_pb2.Setting(name="x", value="a\0")]}, "setting x contains a NUL"),
        ({"settings": [common_pb2.Setting(name="x" * 70)]}, "name of a setting is longer"),
        ({"eal": ["x" * 300]}, "argument of EAL is longer"),
        ({"ports": [common_pb2.Port(number=99)]}, "number of a port"),
        ({"listen_port": 70000}, "listen_port is 0 to 65535"),
        ({"listen_address": "x" * 100}, "listen_address is longer"),
    ],
)
def test_a_configuration_is_checked_before_anything_starts(changes: dict[str, Any], reason: str) -> None:
    check_configuration(configuration())
    with pytest.raises(InvalidRequestError, match=reason):
        check_configuration(configuration(**changes))
    known = {"name", "nf_path", "settings", "eal", "ports"}
    if changes.keys() <= known:
        with pytest.raises(InvalidRequestError, match=reason):
            check_splitter(splitter_pb2.ConfigureSplitterRequest(**({"name": "s", "nf_path": "/nat.so"} | changes)))


def learn(**changes: Any) -> instance_pb2.LearnRequest:
    fields: dict[str, Any] = {"epoch_now": 1, "steering_now": bytes(256), "steering_next": bytes(256)} | changes
    return instance_pb2.LearnRequest(**fields)


PEER = instance_pb2.Peer(member=1, life=2, name="nat-2", socket="/run/shoal/instances/nat-2/peers.socket")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"steering_next": bytes(255)}, "steering_next has 256 bytes"),
        ({"steering_now": bytes(1)}, "steering_now has 256 bytes"),
        ({"owner_now": bytes(256)}, "owner_now has 16384 bytes"),
        ({"members_now": [PEER] * 65}, "65 are too many"),
        ({"members_next": [instance_pb2.Peer(member=77, name="x", socket="/x")]}, "no member 77"),
        ({"members_next": [instance_pb2.Peer(member=1, name="", socket="/x")]}, "is no name"),
        ({"members_next": [instance_pb2.Peer(member=1, name="x", socket="x")]}, "no absolute path"),
        ({"members_next": [instance_pb2.Peer(member=1, name="x", socket="/x", tcp_port=99999)]}, "tcp_port"),
        ({"expected_objects": [1] * 17}, "17 are too many"),
    ],
)
def test_a_plan_is_checked_before_it_is_learnt(changes: dict[str, Any], reason: str) -> None:
    check_learn(learn(members_now=[PEER], members_next=[PEER], owner_now=bytes(16384)))
    with pytest.raises(InvalidRequestError, match=reason):
        check_learn(learn(**changes))
