# SPDX-License-Identifier: BSD-3-Clause
"""The frames are those that scapy makes."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.equivalence.cluster import frames
from tests.equivalence.cluster.frames import Flag, end

CLIENT, SERVER = end("16.1.2.3", 4097), end("48.0.0.9", 53)


def by_scapy(packet: Packet) -> bytes:
    return bytes(packet).ljust(60, b"\0")


def ether() -> Packet:
    return Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")


def header(tos: int = 0) -> Packet:
    return IP(src="16.1.2.3", dst="48.0.0.9", id=77, tos=tos)


def test_transport() -> None:
    for payload in b"", b"x", b"even", b"\xff" * 101:
        packet = frames.ipv4(CLIENT.address, SERVER.address, frames.UDP, frames.udp(CLIENT, SERVER, payload), 77)
        expected = by_scapy(ether() / header() / UDP(sport=4097, dport=53) / Raw(payload))
        assert frames.ethernet(packet) == expected
        segment = frames.tcp(CLIENT, SERVER, payload, Flag.SYN | Flag.ACK, 9)
        packet = frames.ipv4(CLIENT.address, SERVER.address, frames.TCP, segment, 77, tos=8)
        layer = TCP(sport=4097, dport=53, seq=9, ack=0, flags="SA", window=65535)
        assert frames.ethernet(packet) == by_scapy(ether() / header(tos=8) / layer / Raw(payload))


def test_udp_without_checksum() -> None:
    packet = frames.ipv4(CLIENT.address, SERVER.address, frames.UDP, frames.udp(CLIENT, SERVER, b"some", check=0), 77)
    assert frames.ethernet(packet) == by_scapy(ether() / header() / UDP(sport=4097, dport=53, chksum=0) / Raw(b"some"))


def test_icmp() -> None:
    packet = frames.ipv4(CLIENT.address, SERVER.address, frames.ICMP, frames.query(8, 5, 6, b"ping"), 77)
    assert frames.ethernet(packet) == by_scapy(ether() / header() / ICMP(type=8, id=5, seq=6) / Raw(b"ping"))


def test_tags_and_fragments() -> None:
    packet = frames.ipv4(CLIENT.address, SERVER.address, frames.UDP, bytes(24), 77, fragment=frames.MORE_FRAGMENTS | 3)
    bare = IP(src="16.1.2.3", dst="48.0.0.9", id=77, proto=17, flags="MF", frag=3) / Raw(bytes(24))
    assert frames.ethernet(packet, tags=(7,)) == by_scapy(ether() / Dot1Q(vlan=7) / bare)
    assert frames.ethernet(packet, tags=(100, 7)) == by_scapy(ether() / Dot1AD(vlan=100) / Dot1Q(vlan=7) / bare)
