# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import random
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from shoal.verify import capture, frame
from shoal.verify.conftest import echo, ether, tcp, udp, unreachable
from shoal.verify.frame import Endpoint, Kind, Local


def test_endpoints_and_residuals_of_each_kind() -> None:
    packet = frame.parse(bytes(tcp(3, 5)), 9, Local.SOURCE)
    assert (packet.kind, packet.protocol, packet.time_ns) == (Kind.TRANSPORT, 6, 9)
    assert packet.local == Endpoint(int(IPv4Address("16.0.0.3")), 6003)
    assert packet.residuals == (0, 0)
    packet = frame.parse(bytes(echo(3, 5)), 0, Local.SOURCE)
    assert (packet.kind, packet.local.port, packet.remote.port) == (Kind.QUERY, 3, frame.PORT_NONE)
    packet = frame.parse(bytes(unreachable(3, 5)), 0, Local.DESTINATION)
    assert (packet.kind, packet.protocol) == (Kind.ERROR, 17)
    assert packet.local == Endpoint(int(IPv4Address("16.0.0.3")), 5000)
    assert packet.residuals[:3] == (0, 0, 0)


def test_tags_and_options_are_passed_over() -> None:
    tagged = ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / IP(options=b"\x07\x07\x04\0\0\0\0\0") / TCP(sport=1, dport=2)
    packet = frame.parse(bytes(tagged), 0, Local.SOURCE)
    assert (packet.local.port, packet.remote.port) == (1, 2)
    assert packet.residuals == (0, 0)


def test_padding_is_no_part_of_the_packet() -> None:
    bare = bytes(ether() / IP() / UDP(sport=1, dport=2) / Raw(b"x"))
    assert frame.parse(bare + b"\0" * 17, 0, Local.SOURCE) == frame.parse(bare, 0, Local.SOURCE)


@pytest.mark.parametrize("cut", [0, 13, 14, 20, 33, 35, 41])
def test_cut_frames_are_refused(cut: int) -> None:
    with pytest.raises(frame.FrameError):
        frame.parse(bytes(udp(1, 1))[:cut], 0, Local.SOURCE)


def test_random_bytes_are_parsed_or_refused() -> None:
    source = random.Random(5)
    valid = [bytes(udp(1, 1)), bytes(tcp(1, 1)), bytes(echo(1, 1)), bytes(unreachable(1, 1))]
    for _ in range(4000):
        data = bytearray(source.choice(valid))
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            frame.parse(bytes(data[: source.randrange(len(data) + 1)]), 0, source.choice(list(Local)))
        except frame.FrameError:
            continue


def test_residual_keeps_a_fault_that_was_there() -> None:
    packet = udp(1, 1)
    packet[UDP].chksum = (packet[UDP].chksum + 3) % 0xFFFF
    assert frame.parse(bytes(packet), 0, Local.SOURCE).residuals == (0, 3)


def test_captures_survive_the_file(tmp_path: Path) -> None:
    records = [capture.Record(number * 10**9 + 123, bytes(Ether(bytes(udp(1, number))))) for number in range(5)]
    capture.write(tmp_path / "a.pcap", records)
    assert list(capture.read(tmp_path / "a.pcap")) == records
    (tmp_path / "b.pcap").write_bytes((tmp_path / "a.pcap").read_bytes()[:-1])
    with pytest.raises(capture.CaptureError, match="ends within"):
        list(capture.read(tmp_path / "b.pcap"))
