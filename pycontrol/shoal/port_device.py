# SPDX-License-Identifier: BSD-3-Clause
"""Ports' devices (EAL's devargs), as far as they name something of the kernel's: whether it is there, and that one port
has it alone. The kernel itself gives every frame of an interface to as many packet sockets as are opened on it."""

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from shoal.errors import RefusedError

_PACKET_SOCKET: Final = "net_af_packet"
_XDP_SOCKET: Final = "net_af_xdp"
_PCAP: Final = "net_pcap"


def _parsed(device: str) -> tuple[str, list[tuple[str, str]]]:
    driver, *words = device.split(",")
    return driver, [(name, value) for name, _, value in (word.partition("=") for word in words)]


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() else otherwise


def _interfaces(driver: str, words: list[tuple[str, str]]) -> list[str]:
    if driver.startswith((_PACKET_SOCKET, _XDP_SOCKET)):
        return [value for name, value in words if name == "iface"]
    if driver.startswith(_PCAP):
        return list(dict.fromkeys(value for name, value in words if name in ("iface", "rx_iface", "rx_iface_in")))
    return []


def resources(device: str) -> tuple[str, ...]:
    """What no other port may have: interfaces, or with AF_XDP queues of one."""
    driver, words = _parsed(device)
    interfaces = _interfaces(driver, words)
    if not driver.startswith(_XDP_SOCKET):
        return tuple(f"interface {name}" for name in interfaces)
    settings = dict(words)
    first, count = _number(settings.get("start_queue", ""), 0), _number(settings.get("queue_count", ""), 1)
    return tuple(f"queue {queue} of interface {name}" for name in interfaces for queue in range(first, first + count))


def missing(device: str) -> Iterator[str]:
    """What the device names that does not exist, as sentences. Interfaces are those of our network namespace: /sys may
    show another's."""
    driver, words = _parsed(device)
    there = {name for _, name in socket.if_nameindex()}
    for name in _interfaces(driver, words):
        if name not in there:
            yield f"there is no interface {name}"
    for name, value in words if driver.startswith(_PCAP) else ():
        if name == "rx_pcap" and not Path(value).is_file():
            yield f"there is no file {value}"


class Claims:
    """Holds what devices name for this process. A name in the abstract space of Unix sockets is the claim: it is its
    network namespace's, as interfaces are, and goes with the process, however that ends."""

    def __init__(self, devices: Iterable[str]) -> None:
        """RefusedError: another port has one of them."""
        self._held: list[socket.socket] = []
        try:
            for device in devices:
                for resource in resources(device):
                    self._hold(device, resource)
        except BaseException:
            self.close()
            raise

    def _hold(self, device: str, resource: str) -> None:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._held.append(claim)
        try:
            claim.bind(f"\0shoal port {resource}")
        except OSError as error:
            raise RefusedError(f"port device {device}: {resource} is busy: another port of Shoal has it") from error

    def close(self) -> None:
        for claim in self._held:
            claim.close()
        self._held.clear()
