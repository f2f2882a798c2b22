# SPDX-License-Identifier: BSD-3-Clause
from pathlib import Path

import pytest

from shoal.controller.checking import check
from shoal.errors import ConfigError

GOOD = """\
network_function:
  name: nat
  settings: { public_addresses: 192.0.2.1, inside_prefixes: 10.0.0.0/8 }
ports:
  inside: { device: traffic }
  outside: { device: traffic }
instances: { count: 1 }
metrics: { address: "127.0.0.1:9464" }
"""


def faults(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        check("nat.yaml", text)
    return [(fault.line, fault.field, fault.reason) for fault in caught.value.faults]


def test_a_good_file_comes_with_its_network_function() -> None:
    checked = check("nat.yaml", GOOD)
    assert checked.description.ports == ("inside", "outside")
    assert checked.config.deployment == "nat"


def test_settings_shape_ports_and_devices_are_refused_at_once() -> None:
    text = GOOD.replace("192.0.2.1,", "192.0.2.1/99, foo: 1,").replace("count: 1", "count: 0")
    text = text.replace('"127.0.0.1:9464"', "foo").replace("inside: { device: traffic", "middle: { device: traffic")
    found = faults(text)
    assert [(line, field) for line, field, _ in found] == [
        (3, "network_function.settings.public_addresses"),
        (3, "network_function.settings.foo"),
        (4, "ports"),
        (5, "ports.middle"),
        (7, "instances.count"),
        (8, "metrics.address"),
    ]
    assert "/99" in found[0][2]
    assert "unknown setting" in found[1][2]


def test_more_objects_than_the_machine_has_memory_for_are_refused() -> None:
    """Each instance reserves them at its start."""
    [(line, field, reason)] = faults(GOOD.replace("count: 1", "count: 64, objects: 134217728"))
    assert (line, field) == (7, "instances.objects")
    assert reason.startswith("134217728 of each class need 35.5 GiB in an instance, 2272.0 GiB in all")
    assert check("nat.yaml", GOOD.replace("count: 1", "count: 2, objects: 262144")).config.instances.count == 2


def test_a_host_in_a_namespace_that_is_not_there_is_told_where_it_is_named() -> None:
    hosts = (
        "hosts:\n  - {name: a, address: 127.0.0.1}\n  - {name: b, address: 127.0.0.2, network_namespace: shoalnone}\n"
    )
    [(line, field, reason)] = faults(GOOD + hosts)
    assert (line, field) == (11, "hosts[1].network_namespace")
    assert reason.startswith("there is no network namespace shoalnone")
    assert check("nat.yaml", GOOD + hosts.replace(", network_namespace: shoalnone", "")).config.hosts[1].name == "b"


def test_what_is_missing_as_a_whole_is_told_at_the_settings() -> None:
    [(line, field, reason)] = faults(GOOD.replace("public_addresses: 192.0.2.1, ", ""))
    assert (line, field) == (3, "network_function.settings")
    assert "public_addresses must be set" in reason


def test_a_device_whose_file_or_interface_is_missing_is_told(tmp_path: Path) -> None:
    text = GOOD.replace("inside: { device: traffic", f'inside: {{ device: "net_pcap0,rx_pcap={tmp_path}/none.pcap"')
    text = text.replace("outside: { device: traffic", 'outside: { device: "net_af_packet0,iface=shoalnone"')
    assert faults(text) == [
        (5, "ports.inside.device", f"there is no file {tmp_path}/none.pcap"),
        (6, "ports.outside.device", "there is no interface shoalnone"),
    ]


def test_one_interface_is_not_both_inside_and_outside() -> None:
    text = GOOD.replace("inside: { device: traffic", 'inside: { device: "net_af_packet0,iface=lo"')
    text = text.replace("outside: { device: traffic", 'outside: { device: "net_af_packet1,iface=lo"')
    [(line, field, reason)] = faults(text)
    assert (line, field) == (6, "ports.outside.device")
    assert "interface lo is port inside's already" in reason
