# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable
from typing import Any

import pytest

from shoal.agent.checks import check_configuration, check_learn
from shoal.errors import InvalidRequestError
from shoal.proto import common_pb2, instance_pb2, splitter_pb2
from shoal.splitter.service import check_configuration as check_splitter
from shoal.validation import (
    check_options,
    require_at_most,
    require_between,
    require_eal_argument,
    require_length,
    require_member,
    require_name,
    require_path,
    require_ring_bytes,
    require_term,
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
        (lambda: require_name("name", "nat-1"), lambda: require_name("name", "nat-1\n")),
        (lambda: require_term((1 << 32) - 1), lambda: require_term(1 << 32)),
        (lambda: require_ring_bytes("ring", 1 << 16), lambda: require_ring_bytes("ring", 100_000)),
        (lambda: require_eal_argument("eal", "--vdev=net_null0"), lambda: require_eal_argument("eal", "-h")),
        (lambda: require_eal_argument("eal", "-v"), lambda: require_eal_argument("eal", "--he")),
        (lambda: check_options({"duration": "1"}), lambda: check_options({"x" * 64: "1"})),
        (lambda: check_options({"a": "1"}), lambda: check_options({str(each): "1" for each in range(257)})),
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


SIZES = instance_pb2.InstanceSizes(
    objects=1024, parked=256, microthreads=64, window=64, packets=2048, take_deadline_ms=100, channel_bytes=1 << 16
)


def configuration(**changes: Any) -> instance_pb2.ConfigureInstanceRequest:
    fields: dict[str, Any] = {"name": "nat-1", "life": 1, "nf_path": "/usr/lib/nat.so", "sizes": SIZES} | changes
    return instance_pb2.ConfigureInstanceRequest(**fields)


def splitter(**changes: Any) -> splitter_pb2.ConfigureSplitterRequest:
    fields: dict[str, Any] = {"name": "s", "nf_path": "/nat.so"} | changes
    sizes = {"packets": 8192, "parked": 512, "fragments": 64, "ring_bytes": 1 << 16}
    return splitter_pb2.ConfigureSplitterRequest(**(sizes | fields))


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
        ({"eal": ["--help"]}, "not for a process of Shoal"),
        ({"eal": ["-vh"]}, "not for a process of Shoal"),
        ({"life": 0}, "life is 0"),
        ({"runner": common_pb2.RunnerSettings(cpu=5000)}, "runner.cpu is -1 to 1023"),
        ({"runner": common_pb2.RunnerSettings(idle="x" * 100)}, "runner.idle is longer"),
        ({"runner": common_pb2.RunnerSettings(sleep_us=1 << 31)}, "runner.sleep_us is 0 to 1000000"),
        ({"metrics_address": "nowhere"}, "no address of the form host:port"),
        ({"metrics_address": "x" * 300 + ":80"}, "metrics_address is longer"),
        ({"sizes": instance_pb2.InstanceSizes()}, "sizes.objects is 1 to"),
        ({"lease_ms": 1 << 31}, "lease_ms is 0 to 600000"),
        ({"listen_port": 70000}, "listen_port is 0 to 65535"),
        ({"listen_address": "x" * 100}, "listen_address is longer"),
    ],
)
def test_a_configuration_is_checked_before_anything_starts(changes: dict[str, Any], reason: str) -> None:
    check_configuration(configuration())
    check_splitter(splitter())
    with pytest.raises(InvalidRequestError, match=reason):
        check_configuration(configuration(**changes))
    known = {"name", "nf_path", "settings", "eal", "ports", "runner", "metrics_address"}
    if changes.keys() <= known:
        with pytest.raises(InvalidRequestError, match=reason):
            check_splitter(splitter(**changes))


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
