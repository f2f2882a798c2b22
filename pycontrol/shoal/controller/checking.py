# SPDX-License-Identifier: BSD-3-Clause
"""A configuration file beside what it speaks of: its network function, which is asked whether it takes the settings,
and the devices of its ports. All faults at once, those of the file's shape among them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shoal.controller.config import Config, Examined, NetworkFunction
from shoal.errors import ConfigError, ConfigFault, ShoalError
from shoal.network_function.description import Description, describe, find
from shoal.network_function.trial import WHOLE, refusals
from shoal.port_device import missing, resources

_SECTION = "network_function"
_NAMESPACES = Path("/run/netns")
_ENTRY_BYTES = 60  # of an object, beyond key and payload: entry and share of the table


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that may be deployed."""

    file: str
    text: str
    config: Config
    nf_path: Path
    description: Description


def check(file: str, text: str) -> Checked:
    """ConfigError with every fault that can be told before anything is started. Blocks for a moment."""
    examined = Examined(text, file)
    faults, section = list(examined.faults), examined.network_function
    nf_path, description = None, None
    if section is not None:
        try:
            nf_path = find(section.name, section.path)
            description = describe(nf_path)
            faults += _settings(examined, section, nf_path)
        except ShoalError as error:
            faults.append(examined.fault(str(error), _SECTION, "path" if section.path else "name"))
    if description is not None:
        faults += _ports(examined, description)
        faults += _memory(examined, description)
    faults += _devices(examined)
    faults += _namespaces(examined)
    if faults or examined.config is None or nf_path is None or description is None:
        raise ConfigError(sorted(set(faults), key=lambda fault: (fault.line, fault.column)))
    return Checked(file, text, examined.config, nf_path, description)


def _settings(examined: Examined, section: NetworkFunction, nf_path: Path) -> Iterator[ConfigFault]:
    refused: Mapping[str, str] = refusals(nf_path, section.setting_texts)
    for name, reason in refused.items():
        if name != WHOLE:
            yield examined.fault(reason.removeprefix(f"{name}: "), _SECTION, "settings", name)
        elif not any(other in reason for other in refused if other != WHOLE):  # else it follows from that one
            yield examined.fault(reason, _SECTION, "settings")


def _ports(examined: Examined, description: Description) -> Iterator[ConfigFault]:
    ports = examined.document.get("ports")
    if not isinstance(ports, dict):
        return
    known = ", ".join(description.ports)
    for name in ports:
        if name not in description.ports:
            yield examined.fault(f"{description.name} has no such port: {known}", "ports", name)
    for name in description.ports:
        if name not in ports:
            yield examined.fault(f"port {name} is missing", "ports")


def _memory(examined: Examined, description: Description) -> Iterator[ConfigFault]:
    """What the instances of one host reserve at their start, where that is more than all there is."""
    if examined.config is None or examined.config.plane == "remote":
        return
    instances, hosts = examined.config.instances, len(examined.config.hosts) or 1
    each = instances.objects * sum(_ENTRY_BYTES + one.key.size + one.object.size for one in description.classes)
    needed, there = -(-instances.count // hosts) * each, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        yield examined.fault(
            f"{instances.objects} of each class need {each / 2**30:.1f} GiB in an instance, {needed / 2**30:.1f} GiB "
            f"in all that are on one host; this one has {there / 2**30:.1f} GiB",
            "instances",
            "objects",
        )


def _namespaces(examined: Examined) -> Iterator[ConfigFault]:
    for index, host in enumerate(examined.config.hosts if examined.config else ()):
        name = host.network_namespace
        if name is not None and not (_NAMESPACES / name).exists():
            reason = f"there is no network namespace {name}; `ip netns add {name}` makes one"
            yield examined.fault(reason, "hosts", index, "network_namespace")


def _devices(examined: Examined) -> Iterator[ConfigFault]:
    taken: dict[str, str] = {}
    elsewhere = bool(examined.document.get("hosts")) and examined.document.get("splitter") is False
    for name, device in examined.devices.items():
        if not elsewhere and "{" not in device:  # as this host sees it
            yield from (examined.fault(reason, "ports", name, "device") for reason in missing(device))
        for resource in resources(device):
            if resource in taken:
                reason = f"{resource} is port {taken[resource]}'s already: a port needs one of its own"
                yield examined.fault(reason, "ports", name, "device")
            taken.setdefault(resource, name)
