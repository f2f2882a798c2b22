# SPDX-License-Identifier: BSD-3-Clause
"""A NAT written with scapy, wholly apart from the one in C: it makes runs that are right, for the tests to break."""

from __future__ import annotations

import copy
import functools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, UDPerror
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from shoal.verify import capture

SERVER = "48.0.0.1"
ROUTER = "48.9.9.9"
PUBLIC = ("203.0.113.1", "203.0.113.2")


@dataclass
class Scenario:
    """Four captures, as lists of frames with their times in milliseconds, and the NAT between them."""

    seed: int = 1
    frames: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    mapped: dict[tuple[str, str, int], tuple[str, int]] = field(default_factory=dict)
    now: int = 0

    def __post_init__(self) -> None:
        self.frames = {name: [] for name in ("inside-in", "inside-out", "outside-in", "outside-out")}
        self.random = random.Random(self.seed)

    def public(self, protocol: str, address: str, port: int) -> tuple[str, int]:
        """The public endpoint, allocated at random; the address is that of the inside host's other mappings."""
        key = protocol, address, port
        while key not in self.mapped:
            chosen = PUBLIC[int(address.split(".")[-1]) % len(PUBLIC)], self.random.randrange(1024, 65536)
            if (protocol, *chosen) not in {(name, *value) for (name, _, _), value in self.mapped.items()}:
                self.mapped[key] = chosen
        return self.mapped[key]

    def put(self, name: str, packet: Packet) -> None:
        self.frames[name].append((self.now, bytes(packet)))

    def outbound(self, packet: Packet) -> None:
        """A packet from inside, and what comes of it."""
        self.now += 1
        self.put("inside-in", packet)
        after = Ether(bytes(packet))
        protocol, address, port = _source(after)
        new_address, new_port = self.public(protocol, address, port)
        after[IP].src = new_address
        _set_source_port(after, new_port)
        self.put("outside-out", _recomputed(after))

    def inbound(self, packet: Packet, inside: tuple[str, int]) -> None:
        """A packet from outside to the endpoint that stands for `inside`."""
        self.now += 1
        address, port = inside
        before = Ether(bytes(packet))
        new_address, new_port = self.public(_protocol(before), address, port)
        before[IP].dst = new_address
        _set_destination_port(before, new_port)
        self.put("outside-in", _recomputed(before))
        self.put("inside-out", packet)

    def save(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frames in self.frames.items():
            records = [capture.Record(time * 10**6, frame) for time, frame in frames]
            capture.write(folder / f"{name}.pcap", records)
        return folder


def _protocol(packet: Packet) -> str:
    if ICMP not in packet:
        return "tcp" if TCP in packet else "udp"
    if TCPerror in packet or UDPerror in packet:
        return "tcp" if TCPerror in packet else "udp"
    return "icmp"


def _source(packet: Packet) -> tuple[str, str, int]:
    protocol = _protocol(packet)
    if ICMP in packet and protocol == "icmp":
        return protocol, packet[IP].src, packet[ICMP].id
    if ICMP in packet:
        return protocol, packet[IPerror].dst, packet[IPerror].payload.dport
    return protocol, packet[IP].src, packet[IP].payload.sport


def _set_source_port(packet: Packet, port: int) -> None:
    if ICMP not in packet:
        packet[IP].payload.sport = port
    elif _protocol(packet) == "icmp":
        packet[ICMP].id = port
    else:
        inner = packet[IPerror]
        old, inner.dst = [*words(inner.dst), inner.payload.dport], packet[IP].src
        inner.payload.dport = port
        _update_inner(inner, old, [*words(inner.dst), port])


def _set_destination_port(packet: Packet, port: int) -> None:
    if ICMP not in packet:
        packet[IP].payload.dport = port
    elif _protocol(packet) == "icmp":
        packet[ICMP].id = port
    else:
        inner = packet[IPerror]
        old, inner.src = [*words(inner.src), inner.payload.sport], packet[IP].dst
        inner.payload.sport = port
        _update_inner(inner, old, [*words(inner.src), port])


def _update_inner(inner: Packet, old: list[int], new: list[int]) -> None:
    """RFC 1624: the packet inside an error is cut, so its UDP checksum can only be updated by the difference."""
    checksum = (-inner.payload.chksum - sum(old) + sum(new)) % 0xFFFF
    inner.payload.chksum = ~checksum & 0xFFFF


def words(address: str) -> list[int]:
    parts = [int(part) for part in address.split(".")]
    return [parts[0] << 8 | parts[1], parts[2] << 8 | parts[3]]


def _recomputed(packet: Packet) -> Packet:
    """All checksums anew but those inside of a packet in an ICMP error; a UDP checksum of 0 stays."""
    for layer in (IP, TCP, UDP, ICMP, IPerror):
        if layer in packet and not (layer is UDP and packet[layer].chksum == 0):
            packet[layer].chksum = None
    return Ether(bytes(packet))


def ether() -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def udp(client: int, number: int, port: int = 5000, flags: int = 0) -> Packet:
    address = f"16.0.0.{client}"
    text = f"client {client} packet {number} ".encode() * 3
    header = IP(src=address, dst=SERVER, id=number, flags=flags)
    return Ether(bytes(ether() / header / UDP(sport=port, dport=53) / Raw(text)))


def tcp(client: int, number: int) -> Packet:
    header = IP(src=f"16.0.0.{client}", dst=SERVER, id=number)
    segment = TCP(sport=6000 + client, dport=80, seq=number * 100, flags="A", options=[("NOP", None)])
    return Ether(bytes(ether() / header / segment / Raw(b"x" * (number % 7))))


def echo(client: int, number: int) -> Packet:
    header = IP(src=f"16.0.0.{client}", dst=SERVER)
    return Ether(bytes(ether() / header / ICMP(type=8, id=client, seq=number) / Raw(b"ping")))


def reply(client: int, number: int) -> Packet:
    """A packet from the server as it looks inside."""
    header = IP(src=SERVER, dst=f"16.0.0.{client}", id=number)
    return Ether(bytes(ether() / header / UDP(sport=53, dport=5000) / Raw(f"answer {client} {number}".encode())))


def unreachable(client: int, number: int) -> Packet:
    """A router's error about what the client sent, as it looks inside."""
    about = udp(client, number)[IP]
    error = IP(src=ROUTER, dst=about.src) / ICMP(type=3, code=1) / IPerror(bytes(about)[:28])
    return Ether(bytes(ether() / error))


@pytest.fixture
def scenario() -> Callable[[int], Scenario]:
    """Makes a run with UDP, TCP, ICMP, answers and errors of eight clients; the seed decides what the NAT allocates."""

    def make(seed: int = 1) -> Scenario:
        return copy.deepcopy(_made(seed))

    return make


@functools.cache
def _made(seed: int) -> Scenario:
    made = Scenario(seed)
    order = random.Random(7)
    for number in range(12):
        for client in order.sample(range(1, 9), 8):
            made.outbound(udp(client, number))
            made.outbound(tcp(client, number))
            made.inbound(reply(client, number), (f"16.0.0.{client}", 5000))
            if number % 4 == 0:
                made.outbound(echo(client, number))
                made.inbound(unreachable(client, number), (f"16.0.0.{client}", 5000))
    return made
