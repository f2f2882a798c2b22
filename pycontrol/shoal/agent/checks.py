# SPDX-License-Identifier: BSD-3-Clause
"""What the controller's longer commands must look like. The data plane checks sizes and numbers itself."""

from collections.abc import Sequence

from shoal.errors import InvalidRequestError
from shoal.metrics import split_address
from shoal.proto import common_pb2, instance_pb2
from shoal.validation import (
    CPU_MAX,
    DEADLINE_MAX_MS,
    IDLE_POLLS_MAX,
    MICROTHREADS,
    NAME_MAX,
    OBJECTS,
    PACKETS,
    PATH_MAX,
    SLEEP_MAX_US,
    WINDOW_MAX,
    require_at_most,
    require_between,
    require_eal_argument,
    require_length,
    require_member,
    require_name,
    require_path,
    require_ring_bytes,
    require_text,
)
from shoal_dataplane import CLASSES_MAX, MEMBERS_MAX, NF_PORTS_MAX, REMOTE_ADDRESS_BYTES, SLOTS, STEERING_SLOTS


def check_settings(settings: Sequence[common_pb2.Setting]) -> None:
    """A network function's settings."""
    require_at_most("settings", settings)
    for setting in settings:
        require_text("the name of a setting", setting.name, NAME_MAX)
        require_text(f"setting {setting.name}", setting.value)


def check_ports(ports: Sequence[common_pb2.Port]) -> None:
    require_at_most("ports", ports, NF_PORTS_MAX)
    for port in ports:
        require_between("the number of a port", port.number, 0, NF_PORTS_MAX - 1)
        require_text("device", port.device, PATH_MAX)


def _check_runner(name: str, runner: common_pb2.RunnerSettings) -> None:
    require_between(f"{name}.cpu", runner.cpu, -1, CPU_MAX)
    require_text(f"{name}.idle", runner.idle, NAME_MAX)
    require_between(f"{name}.idle_polls", runner.idle_polls, 0, IDLE_POLLS_MAX)
    require_between(f"{name}.sleep_us", runner.sleep_us, 0, SLEEP_MAX_US)


def check_process(runner: common_pb2.RunnerSettings, eal: Sequence[str], metrics_address: str) -> None:
    """What every process of ours is told."""
    _check_runner("runner", runner)
    require_at_most("eal", eal)
    for argument in eal:
        require_eal_argument("an argument of EAL", argument)
    if metrics_address:
        split_address(require_text("metrics_address", metrics_address, NAME_MAX))


def _check_sizes(sizes: instance_pb2.InstanceSizes) -> None:
    require_between("sizes.objects", sizes.objects, *OBJECTS)
    require_between("sizes.parked", sizes.parked, *OBJECTS)
    require_between("sizes.microthreads", sizes.microthreads, *MICROTHREADS)
    require_between("sizes.window", sizes.window, 1, WINDOW_MAX)
    require_between("sizes.packets", sizes.packets, *PACKETS)
    require_between("sizes.take_deadline_ms", sizes.take_deadline_ms, 1, DEADLINE_MAX_MS)
    require_ring_bytes("sizes.channel_bytes", sizes.channel_bytes)


def _check_plane(plane: instance_pb2.StatePlane) -> None:
    if plane.kind not in ("", "shared", "local", "remote"):
        raise InvalidRequestError(f"plane.kind is shared, local or remote, not {plane.kind!r}")
    require_text("plane.address", plane.address, REMOTE_ADDRESS_BYTES - 1)
    require_text("plane.name", plane.name, NAME_MAX)
    if plane.kind == "remote" and not (plane.address and plane.name):
        raise InvalidRequestError("plane remote needs the server's address, and a name for its keys")


def check_configuration(request: instance_pb2.ConfigureInstanceRequest) -> None:
    require_name("name", request.name)
    require_member(request.member)
    if not request.life:
        raise InvalidRequestError("life is 0: every start needs a number of its own")
    require_path("nf_path", request.nf_path)
    check_settings(request.settings)
    _check_sizes(request.sizes)
    check_process(request.runner, request.eal, request.metrics_address)
    check_ports(request.ports)
    require_text("listen_address", request.listen_address, NAME_MAX)
    require_between("listen_port", request.listen_port, 0, 65535)
    require_between("lease_ms", request.lease_ms, 0, DEADLINE_MAX_MS)
    _check_plane(request.plane)
    if request.HasField("pipe"):
        _check_runner("pipe", request.pipe)
        if request.plane.kind != "remote":
            raise InvalidRequestError("a pipe is for plane remote alone")


def check_dead(dead: Sequence[instance_pb2.DeadMember]) -> None:
    """Members that somebody says have died."""
    require_at_most("dead", dead, MEMBERS_MAX)
    for each in dead:
        require_member(each.member)
        if each.HasField("adopter"):
            require_member(each.adopter)


def check_learn(request: instance_pb2.LearnRequest) -> None:
    require_length("steering_next", request.steering_next, STEERING_SLOTS)
    if request.epoch_now:
        require_length("steering_now", request.steering_now, STEERING_SLOTS)
    if request.owner_now:
        require_length("owner_now", request.owner_now, SLOTS)
    require_at_most("expected_objects", request.expected_objects, CLASSES_MAX)
    for members in (request.members_now, request.members_next):
        require_at_most("members", members, MEMBERS_MAX)
        for peer in members:
            require_member(peer.member)
            require_name("the name of a member", peer.name)
            require_path("socket", peer.socket)
            require_between("tcp_port", peer.tcp_port, 0, 65535)
            require_text("address", peer.address, NAME_MAX)
