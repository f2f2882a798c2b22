# SPDX-License-Identifier: BSD-3-Clause
"""The frames of an equivalence run: the same in every run, from a seed. No two are equal, so that each can be found."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

CLIENT_MAC, SERVER_MAC = bytes.fromhex("020000000101"), bytes.fromhex("020000000201")
SERVER = int(IPv4Address("48.0.0.1"))
FIRST_CLIENT = int(IPv4Address("16.0.0.1"))
ICMP, TCP, UDP = 1, 6, 17
SYN, ACK, PUSH_ACK = 0x02, 0x10, 0x18
CLIENTS, PORTS = 48, 4


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = int.from_bytes(data + b"\0" * (len(data) % 2), "big") % 0xFFFF
    return 0xFFFF - total


def packet(source: int, destination: int, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet."""
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, source, destination)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def with_checksum(source: int, destination: int, protocol: int, segment: bytes) -> bytes:
    """A UDP or TCP segment with its checksum filled in."""
    place = 16 if protocol == TCP else 6
    pseudo = struct.pack("!IIHH", source, destination, protocol, len(segment))
    value = checksum(pseudo + segment) or 0xFFFF
    return segment[:place] + struct.pack("!H", value) + segment[place + 2 :]


def udp(source: tuple[int, int], destination: tuple[int, int], payload: bytes) -> bytes:
    """A UDP datagram as an IPv4 payload."""
    segment = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    return with_checksum(source[0], destination[0], UDP, segment)


def tcp(source: tuple[int, int], destination: tuple[int, int], sequence: int, flags: int, payload: bytes) -> bytes:
    """A TCP segment as an IPv4 payload."""
    header = struct.pack("!HHIIBBHHH", source[1], destination[1], sequence, 1, 0x50, flags, 8192, 0, 0)
    return with_checksum(source[0], destination[0], TCP, header + payload)


def echo(kind: int, identifier: int, sequence: int, payload: bytes) -> bytes:
    """An ICMP echo request (8) or reply (0)."""
    message = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + payload
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def to_server(contents: bytes) -> bytes:
    return SERVER_MAC + CLIENT_MAC + b"\x08\x00" + contents


def to_client(contents: bytes) -> bytes:
    return CLIENT_MAC + SERVER_MAC + b"\x08\x00" + contents


def made(count: int, seed: int, first_client: int = FIRST_CLIENT, server: int = SERVER) -> Iterator[bytes]:
    """What the clients send: mostly UDP, a TCP connection and pings of each client. No fragments: DPDK's AF_PACKET
    driver has the kernel put them together again before the NAT sees them."""
    source = random.Random(seed)
    for number in range(count):
        index = source.randrange(CLIENTS)
        client = first_client + index
        text = f"{seed}.{number} ".encode() + source.randbytes(source.randrange(4, 200))
        kind = source.random()
        if kind < 0.15:
            segment = tcp((client, 2000 + index), (server, 80), number, SYN if kind < 0.03 else PUSH_ACK, text)
            yield to_server(packet(client, server, TCP, segment))
        elif kind < 0.25:
            yield to_server(packet(client, server, ICMP, echo(8, 300 + index, number & 0xFFFF, text)))
        else:
            port = 1024 + source.randrange(PORTS)
            yield to_server(packet(client, server, UDP, udp((client, port), (server, 53), text)))


def answer(frame: bytes) -> bytes | None:
    """What the server says to a frame, if anything: an echo of the packet's contents, or an error about it."""
    header, payload = frame[14:34], frame[34:]
    source, destination = struct.unpack_from("!II", header, 12)
    if header[9] == ICMP:
        identifier, sequence = struct.unpack_from("!HH", payload, 4)
        return to_client(packet(destination, source, ICMP, echo(0, identifier, sequence, payload[8:])))
    ports = struct.unpack_from("!HH", payload)
    ends = (destination, ports[1]), (source, ports[0])
    if header[9] == TCP:
        sequence = struct.unpack_from("!I", payload, 4)[0]
        flags = SYN | ACK if payload[13] == SYN else ACK
        return to_client(packet(destination, source, TCP, tcp(*ends, sequence, flags, b"seen " + payload[20:])))
    # One in eight, by its contents: the same in every run.
    if payload[-1] % 8 == 0:
        message = struct.pack("!BBHI", 3, 1, 0, 0) + frame[14 : 14 + 20 + 28]
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        return to_client(packet(destination, source, ICMP, message))
    if payload[-1] % 8 < 4:
        return to_client(packet(destination, source, UDP, udp(*ends, b"seen " + payload[8:])))
    return None
