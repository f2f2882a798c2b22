# SPDX-License-Identifier: BSD-3-Clause
"""What the controller's longer commands must look like. The data plane checks sizes and numbers itself."""

from shoal.proto import instance_pb2
from shoal.validation import (
    DEADLINE_MAX_MS,
    NAME_MAX,
    PATH_MAX,
    require_at_most,
    require_between,
    require_length,
    require_member,
    require_name,
    require_path,
    require_text,
)
from shoal_dataplane import CLASSES_MAX, MEMBERS_MAX, NF_PORTS_MAX, SLOTS, STEERING_SLOTS


def check_configuration(request: instance_pb2.ConfigureInstanceRequest) -> None:
    require_name("name", request.name)
    require_member(request.member)
    require_path("nf_path", request.nf_path)
    require_at_most("settings", request.settings)
    for setting in request.settings:
        require_text("the name of a setting", setting.name, NAME_MAX)
        require_text(f"setting {setting.name}", setting.value)
    require_at_most("eal", request.eal)
    for argument in request.eal:
        require_text("an argument of EAL", argument, PATH_MAX)
    require_at_most("ports", request.ports, NF_PORTS_MAX)
    for port in request.ports:
        require_between("the number of a port", port.number, 0, NF_PORTS_MAX - 1)
        require_text("device", port.device, PATH_MAX)
    require_text("listen_address", request.listen_address, NAME_MAX)
    require_between("listen_port", request.listen_port, 0, 65535)
    require_between("lease_ms", request.lease_ms, 0, DEADLINE_MAX_MS)
    require_text("metrics_address", request.metrics_address, PATH_MAX)


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
