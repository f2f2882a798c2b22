# SPDX-License-Identifier: BSD-3-Clause
"""One frame: the endpoint that a NAT translates, the one that it leaves alone, and all else that it may not change.

A checksum is kept as its residual: the one's complement sum over what it covers, itself included, modulo 65535. It is
0 where the checksum is right, and a translation that updates checksums as RFC 1624 says keeps it whatever it was,
also where only a part of what it covers is there (fragments, packets inside ICMP errors).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

ICMP, TCP, UDP = 1, 6, 17
ETHERTYPE_IPV4 = 0x0800
ETHERTYPES_VLAN = (0x8100, 0x88A8, 0x9100)
ICMP_QUERIES = (0, 8, 13, 14, 15, 16, 17, 18)
ICMP_ERRORS = (3, 4, 5, 11, 12)
FRAGMENT_OFFSET = 0x1FFF
PORT_NONE = -1
PROTOCOL_NAMES = {ICMP: "icmp", TCP: "tcp", UDP: "udp"}


class Kind(Enum):
    """What a packet is to a NAT."""

    TRANSPORT = "transport"
    QUERY = "ICMP query"
    ERROR = "ICMP error"
    FRAGMENT = "later fragment"


class Local(Enum):
    """Which of a packet's two endpoints lies behind the NAT: the source of what goes out, the destination of what
    comes in."""

    SOURCE = 0
    DESTINATION = 1


class FrameError(ValueError):
    """A frame that no NAT translates; the text says why."""


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An IPv4 address with a port, or with an ICMP identifier. `port` is PORT_NONE where the packet shows none."""

    address: int
    port: int

    def __str__(self) -> str:
        return f"{IPv4Address(self.address)}{'' if self.port == PORT_NONE else f':{self.port}'}"


@dataclass(frozen=True, slots=True)
class Packet:
    """What there is to know of one frame."""

    time_ns: int
    kind: Kind
    protocol: int
    """Of the flow: for an ICMP error, that of the packet inside it."""
    local: Endpoint
    remote: Endpoint
    identification: int
    """The IPv4 header's: what a datagram's fragments have in common."""
    outer_local: int
    """The address in the outermost header; differs from `local` where a router on the way sent an ICMP error."""
    constant: bytes
    """Everything that no NAT may change, endpoints, time to live and checksums excepted."""
    time_to_live: int
    residuals: tuple[int | None, ...]
    """IP header's, transport's (None: UDP without checksum, or not there), and for errors those of the inner packet."""

    @property
    def key(self) -> tuple[int, Endpoint, bytes]:
        """Equal before and after translation."""
        return self.protocol, self.remote, self.constant


def residual(data: bytes) -> int:
    """One's complement sum of 16-bit words (RFC 1071), modulo 65535; a right checksum gives 0."""
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big") % 0xFFFF


def parse(frame: bytes, time_ns: int, local: Local) -> Packet:
    """FrameError where the frame is nothing that a NAT translates."""
    tags, network = _network(frame)
    header, payload = _ipv4(network)
    fragment = struct.unpack_from("!H", header, 6)[0]
    constant = tags + header[0:2] + header[2:8] + header[9:10] + header[20:]
    addresses = struct.unpack_from("!II", header, 12)
    protocol = header[9]
    if fragment & FRAGMENT_OFFSET:
        return _packet(
            time_ns, header, local, Kind.FRAGMENT, protocol, addresses, (PORT_NONE, PORT_NONE), constant + payload, None
        )
    if protocol in (TCP, UDP):
        ports, rest, check = _transport(protocol, header, payload)
        return _packet(time_ns, header, local, Kind.TRANSPORT, protocol, addresses, ports, constant + rest, check)
    if protocol == ICMP and len(payload) >= 8 and payload[0] in ICMP_QUERIES:
        identifier = struct.unpack_from("!H", payload, 4)[0]
        rest = payload[:2] + payload[6:]
        ports = (identifier, PORT_NONE) if local is Local.SOURCE else (PORT_NONE, identifier)
        return _packet(time_ns, header, local, Kind.QUERY, ICMP, addresses, ports, constant + rest, residual(payload))
    if protocol == ICMP and len(payload) >= 8 + 20 and payload[0] in ICMP_ERRORS:
        return _error(time_ns, header, payload, local, constant)
    raise FrameError(f"protocol {protocol}, which no NAT translates")


def _network(frame: bytes) -> tuple[bytes, bytes]:
    """VLAN tags, and the packet behind them."""
    offset = 12
    while len(frame) >= offset + 2:
        (ethertype,) = struct.unpack_from("!H", frame, offset)
        if ethertype not in ETHERTYPES_VLAN:
            if ethertype != ETHERTYPE_IPV4:
                raise FrameError(f"EtherType {ethertype:#06x}, not IPv4")
            return frame[12:offset], frame[offset + 2 :]
        offset += 4
    raise FrameError("shorter than its Ethernet header")


def _ipv4(network: bytes) -> tuple[bytes, bytes]:
    """Header with options, and the payload up to the total length."""
    if len(network) < 20 or network[0] >> 4 != 4:
        raise FrameError("no IPv4 header")
    header_bytes = (network[0] & 0xF) * 4
    (total,) = struct.unpack_from("!H", network, 2)
    if header_bytes < 20 or total < header_bytes or total > len(network):
        raise FrameError("an IPv4 header whose lengths cannot be")
    return network[:header_bytes], network[header_bytes:total]


def _transport(protocol: int, header: bytes, segment: bytes) -> tuple[tuple[int, int], bytes, int | None]:
    """Ports, all but ports and checksum, and the checksum's residual."""
    place = 16 if protocol == TCP else 6
    if len(segment) < (20 if protocol == TCP else 8):
        raise FrameError("cut within its transport header")
    ports = struct.unpack_from("!HH", segment)
    rest = segment[4:place] + segment[place + 2 :]
    return (ports[0], ports[1]), rest, _transport_residual(protocol, header, segment)


def _transport_residual(protocol: int, header: bytes, segment: bytes) -> int | None:
    place = 16 if protocol == TCP else 6
    if protocol not in (TCP, UDP) or len(segment) < place + 2:
        return None
    if protocol == UDP and segment[6:8] == b"\0\0":
        return None
    total = struct.unpack_from("!H", header, 2)[0] - (header[0] & 0xF) * 4
    return residual(header[12:20] + struct.pack("!HH", protocol, total) + segment)


def _packet(
    time_ns: int,
    header: bytes,
    local: Local,
    kind: Kind,
    protocol: int,
    addresses: tuple[int, int],
    ports: tuple[int, int],
    constant: bytes,
    check: int | None,
) -> Packet:
    near, far = (0, 1) if local is Local.SOURCE else (1, 0)
    return Packet(
        time_ns=time_ns,
        kind=kind,
        protocol=protocol,
        local=Endpoint(addresses[near], ports[near]),
        remote=Endpoint(addresses[far], ports[far]),
        identification=struct.unpack_from("!H", header, 4)[0],
        outer_local=addresses[near],
        constant=constant,
        time_to_live=header[8],
        residuals=(residual(header), check),
    )


def _error(time_ns: int, header: bytes, message: bytes, local: Local, constant: bytes) -> Packet:
    """An ICMP error: what it says of its flow lies in the packet inside it, which travelled the other way."""
    inner = message[8:]
    inner_bytes = (inner[0] & 0xF) * 4
    if inner[0] >> 4 != 4 or inner_bytes < 20 or len(inner) < inner_bytes:
        raise FrameError("an ICMP error whose inner packet cannot be read")
    inner_header, segment = inner[:inner_bytes], inner[inner_bytes:]
    protocol = inner_header[9]
    addresses = struct.unpack_from("!II", inner_header, 12)
    ports, rest = _inner_ports(protocol, segment, local)
    outer = struct.unpack_from("!II", header, 12)
    near, far = (0, 1) if local is Local.SOURCE else (1, 0)
    inner_far = struct.pack("!Ii", addresses[near], ports[near])
    fixed = inner_header[0:8] + inner_header[8:10] + inner_header[20:]
    return Packet(
        time_ns=time_ns,
        kind=Kind.ERROR,
        protocol=protocol,
        local=Endpoint(addresses[far], ports[far]),
        remote=Endpoint(outer[far], PORT_NONE),
        identification=struct.unpack_from("!H", header, 4)[0],
        outer_local=outer[near],
        constant=constant + message[0:2] + message[4:8] + fixed + inner_far + rest,
        time_to_live=header[8],
        residuals=(
            residual(header),
            residual(message),
            residual(inner_header),
            _inner_residual(protocol, inner_header, segment),
        ),
    )


def _inner_ports(protocol: int, segment: bytes, local: Local) -> tuple[tuple[int, int], bytes]:
    """Ports of the packet inside an ICMP error, and the rest of it without checksum."""
    if protocol in (TCP, UDP) and len(segment) >= 8:
        place = 16 if protocol == TCP else 6
        ports = struct.unpack_from("!HH", segment)
        return (ports[0], ports[1]), segment[4:place] + segment[place + 2 :]
    if protocol == ICMP and len(segment) >= 8 and segment[0] in ICMP_QUERIES:
        (identifier,) = struct.unpack_from("!H", segment, 4)
        near = (PORT_NONE, identifier) if local is Local.SOURCE else (identifier, PORT_NONE)
        return near, segment[:2] + segment[6:]
    raise FrameError("an ICMP error about a packet that no NAT translates")


def _inner_residual(protocol: int, header: bytes, segment: bytes) -> int | None:
    if protocol == ICMP:
        return residual(segment)
    return _transport_residual(protocol, header, segment)
