# SPDX-License-Identifier: BSD-3-Clause
"""A configuration beside the network function that it names."""

from pathlib import Path

from shoal.controller.config import Config, place
from shoal.errors import ConfigError, ConfigFault, ShoalError
from shoal.network_function.description import Description, describe, find


def described(config: Config, file: str, text: str) -> tuple[Path, Description]:
    """The NF; ConfigError with what only the NF itself can tell of the file: whether it exists, and its ports."""

    def fault(reason: str, *path: str) -> ConfigFault:
        return ConfigFault(file, *place(text, *path), ".".join(path), reason)

    try:
        nf_path = find(config.network_function.name, config.network_function.path)
        description = describe(nf_path)
    except ShoalError as error:
        raise ConfigError([fault(str(error), "network_function", "name")]) from error
    known = ", ".join(description.ports)
    faults = [
        fault(f"{description.name} has no such port: {known}", "ports", name)
        for name in config.ports
        if name not in description.ports
    ]
    faults += [fault(f"port {name} is missing", "ports") for name in description.ports if name not in config.ports]
    if faults:
        raise ConfigError(faults)
    return nf_path, description
