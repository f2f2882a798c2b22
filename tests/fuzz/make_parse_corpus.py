# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seed corpus of the parser's fuzz target: one small frame of each kind that it tells apart.

python3 tests/fuzz/make_parse_corpus.py tests/fuzz/corpus/parse
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

ETHERNET = bytes.fromhex("020000000002020000000001")
CLIENT, SERVER, ROUTER = bytes([10, 0, 0, 1]), bytes([198, 51, 100, 2]), bytes([203, 0, 113, 1])
CLIENT6, SERVER6, ROUTER6 = (bytes.fromhex("20010db8") + bytes(11) + bytes([last]) for last in (1, 2, 99))
ICMP, TCP, UDP, GRE, ICMP6 = 1, 6, 17, 47, 58
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60


def ethernet(payload: bytes, kind: int, tags: tuple[tuple[int, int], ...] = ()) -> bytes:
    """A frame; each tag is its type and its VLAN."""
    labels = b"".join(struct.pack("!HH", *tag) for tag in tags)
    return ETHERNET + labels + struct.pack("!H", kind) + payload


def ipv4(
    payload: bytes,
    protocol: int,
    *,
    options: bytes = b"",
    fragment: int = 0,
    ends: tuple[bytes, bytes] = (CLIENT, SERVER),
) -> bytes:
    head = struct.pack(
        "!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 7, fragment, 64, protocol, 0
    )
    return head + ends[0] + ends[1] + options + payload


def ipv6(payload: bytes, protocol: int, ends: tuple[bytes, bytes] = (CLIENT6, SERVER6)) -> bytes:
    return struct.pack("!IHBB", 0x60000000, len(payload), protocol, 64) + ends[0] + ends[1] + payload


def udp(payload: bytes = b"shoal") -> bytes:
    return struct.pack("!HHHH", 1024, 53, 8 + len(payload), 0) + payload


def tcp(options: bytes = b"", flags: int = 0x12) -> bytes:
    return struct.pack("!HHIIBBHHH", 1024, 80, 1, 2, (5 + len(options) // 4) << 4, flags, 65535, 0, 0) + options


def icmp(kind: int, payload: bytes = b"", identifier: int = 77) -> bytes:
    return struct.pack("!BBHHH", kind, 0, 0, identifier, 1) + payload


def extension(following: int, payload: bytes, words: int = 1) -> bytes:
    return bytes([following, words - 1]) + bytes(8 * words - 2) + payload


def authentication(following: int, payload: bytes) -> bytes:
    return bytes([following, 1]) + bytes(10) + payload


def fragment6(following: int, payload: bytes, *, offset: int = 0, more: bool = False) -> bytes:
    return struct.pack("!BBHI", following, 0, offset | more, 0xABCD) + payload


def frames4() -> dict[str, bytes]:
    back, quoted = (ROUTER, CLIENT), ipv4(udp(), UDP)
    packets = {
        "udp": ipv4(udp(), UDP),
        "tcp": ipv4(tcp(), TCP),
        "tcp_options": ipv4(tcp(b"\x02\x04\x05\xb4"), TCP),
        "ip_options": ipv4(tcp(), TCP, options=b"\x94\x04\x00\x00"),
        "gre": ipv4(bytes(8), GRE),
        "echo": ipv4(icmp(8, b"ping"), ICMP),
        "timestamp_reply": ipv4(icmp(14, bytes(12)), ICMP),
        "router_advertisement": ipv4(icmp(9), ICMP),
        "unreachable": ipv4(icmp(3, quoted), ICMP, ends=back),
        "exceeded_tcp_cut": ipv4(icmp(11, ipv4(tcp(), TCP, options=bytes(8))[:36]), ICMP, ends=back),
        "error_about_echo": ipv4(icmp(12, ipv4(icmp(8), ICMP)), ICMP, ends=back),
        "error_about_error": ipv4(icmp(3, ipv4(icmp(3), ICMP)), ICMP, ends=back),
        "error_about_later_fragment": ipv4(icmp(3, ipv4(bytes(8), UDP, fragment=3)), ICMP, ends=back),
        "error_without_ports": ipv4(icmp(3, quoted[:22]), ICMP, ends=back),
        "error_cut": ipv4(icmp(3, quoted[:12]), ICMP, ends=back),
        "fragment_first": ipv4(udp(bytes(16)), UDP, fragment=0x2000),
        "fragment_later": ipv4(bytes(11), UDP, fragment=2),
        "fragment_overlap": ipv4(bytes(16), TCP, fragment=1),
        "fragment_beyond_end": ipv4(bytes(16), UDP, fragment=0x1FFF),
        "udp_length": ipv4(struct.pack("!HHHH", 1, 2, 99, 0), UDP),
        "tcp_offset": ipv4(tcp()[:12] + b"\xf0" + tcp()[13:], TCP),
        "transport_cut": ipv4(udp()[:6], UDP),
    }
    return {f"ipv4_{name}": ethernet(packet, 0x0800) for name, packet in packets.items()}


def frames6() -> dict[str, bytes]:
    back, quoted = (ROUTER6, CLIENT6), ipv6(extension(TCP, tcp()), DESTINATION)
    every = extension(DESTINATION, extension(ROUTING, extension(AUTHENTICATION, authentication(TCP, tcp())), 2))
    deep = udp()
    for position in range(9):
        deep = extension(DESTINATION if position else UDP, deep)
    packets = {
        "udp": ipv6(udp(), UDP),
        "tcp": ipv6(tcp(), TCP),
        "extensions": ipv6(every, HOP_BY_HOP),
        "extensions_too_many": ipv6(deep, DESTINATION),
        "extension_cut": ipv6(bytes([UDP, 9]) + bytes(20), DESTINATION),
        "no_next_header": ipv6(extension(59, b""), DESTINATION),
        "echo": ipv6(icmp(128), ICMP6),
        "neighbour": ipv6(icmp(135, bytes(16)), ICMP6),
        "unreachable": ipv6(icmp(1, quoted), ICMP6, back),
        "too_big_cut": ipv6(icmp(2, quoted[:45]), ICMP6, back),
        "error_about_echo": ipv6(icmp(3, ipv6(icmp(128), ICMP6)), ICMP6, back),
        "error_cut": ipv6(icmp(4, quoted[:30]), ICMP6, back),
        "fragment_first": ipv6(fragment6(UDP, udp(bytes(16)), more=True), FRAGMENT),
        "fragment_later": ipv6(fragment6(UDP, bytes(11), offset=16), FRAGMENT),
        "fragment_atomic": ipv6(fragment6(UDP, udp()), FRAGMENT),
        "fragment_nested": ipv6(fragment6(FRAGMENT, fragment6(UDP, udp(bytes(16)), more=True), more=True), FRAGMENT),
    }
    return {f"ipv6_{name}": ethernet(packet, 0x86DD) for name, packet in packets.items()}


def frames_below_ip() -> dict[str, bytes]:
    packet = ipv4(udp(), UDP)
    return {
        "vlan": ethernet(packet, 0x0800, ((0x8100, 5),)),
        "qinq": ethernet(ipv6(tcp(), TCP), 0x86DD, ((0x88A8, 5), (0x8100, 6))),
        "three_tags": ethernet(packet, 0x0800, ((0x88A8, 5), (0x8100, 6), (0x8100, 7))),
        "vlan_cut": ethernet(b"", 0x8100) + b"\x00",
        "arp": ethernet(bytes(28), 0x0806),
        "padded": ethernet(packet, 0x0800).ljust(60, b"\xff"),
        "truncated": ethernet(packet, 0x0800)[:-3],
        "runt": ETHERNET,
        "wrong_version": ethernet(b"\x65" + packet[1:], 0x0800),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in (frames4() | frames6() | frames_below_ip()).items():
        (folder / name).write_bytes(frame)


if __name__ == "__main__":
    main()
