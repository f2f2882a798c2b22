# SPDX-License-Identifier: BSD-3-Clause
"""The checker finds nothing in a run that is right, and each planted fault under its own name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from shoal.verify.allocation import Idle, Loss
from shoal.verify.conftest import PUBLIC, SERVER, Scenario, echo, ether, tcp, udp, words
from shoal.verify.main import main
from shoal.verify.report import Fault, Report
from shoal.verify.run import load
from shoal.verify.translation import Rules, Translation

Make = Callable[..., Scenario]


def judge(made: Scenario, folder: Path, rules: Rules | None = None) -> Report:
    return Translation(load(made.save(folder)), rules or Rules()).check().report


def change(made: Scenario, name: str, index: int, edit: Callable[[Packet], None], right: bool = True) -> None:
    """Edits one frame; `right`: with checksums computed anew."""
    time, frame = made.frames[name][index]
    packet = Ether(frame)
    edit(packet)
    if right:
        for layer in (IP, UDP, TCP):
            if layer in packet:
                packet[layer].chksum = None
    made.frames[name][index] = time, bytes(packet)


def indices(made: Scenario, name: str, wanted: Callable[[Packet], bool]) -> list[int]:
    return [index for index, (_, frame) in enumerate(made.frames[name]) if wanted(Ether(frame))]


def outputs_of(made: Scenario, client: int, layer: type[Packet] = UDP) -> list[int]:
    """Places in outside-out of one client's packets of one protocol."""
    name, port = ("tcp", 6000 + client) if layer is TCP else ("udp", 5000)
    public = made.mapped[name, f"16.0.0.{client}", port]

    def wanted(packet: Packet) -> bool:
        return layer in packet and ICMP not in packet and (packet[IP].src, packet[layer].sport) == public

    return indices(made, "outside-out", wanted)


def test_right_run_is_good(scenario: Make, tmp_path: Path) -> None:
    report = judge(scenario(), tmp_path)
    assert report.findings == []
    assert report.good
    assert report.checked["mappings"] == 24
    assert report.checked["packets_to_inside"] == 8 * (12 + 3)


def test_swapped_packets_of_a_flow(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    first, second = outputs_of(made, 3)[4:6]
    frames = made.frames["outside-out"]
    frames[first], frames[second] = (frames[first][0], frames[second][1]), (frames[second][0], frames[first][1])
    assert judge(made, tmp_path).counts == {Fault.REORDERED: 1}


def test_swapped_packets_of_different_flows_are_no_fault(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    first, second = outputs_of(made, 3)[5], outputs_of(made, 4)[5]
    frames = made.frames["outside-out"]
    frames[first], frames[second] = (frames[first][0], frames[second][1]), (frames[second][0], frames[first][1])
    assert judge(made, tmp_path).good


@pytest.mark.parametrize("name", ["outside-out", "inside-out"])
def test_lost_packet(scenario: Make, tmp_path: Path, name: str) -> None:
    made = scenario()
    del made.frames[name][20]
    report = judge(made, tmp_path)
    assert report.counts == {Fault.LOST: 1}
    assert not report.good


def test_loss_may_be_allowed(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    del made.frames["outside-out"][20:22]
    assert not judge(made, tmp_path, Rules(loss_allowed=1)).good
    assert judge(made, tmp_path, Rules(loss_allowed=2)).good


@pytest.mark.parametrize("name", ["outside-out", "inside-out"])
def test_duplicated_packet(scenario: Make, tmp_path: Path, name: str) -> None:
    made = scenario()
    made.frames[name].insert(31, made.frames[name][30])
    assert judge(made, tmp_path).counts == {Fault.DUPLICATED: 1}


@pytest.mark.parametrize("layer", [IP, UDP, TCP])
def test_wrong_checksum(scenario: Make, tmp_path: Path, layer: type[Packet]) -> None:
    made = scenario()
    index = outputs_of(made, 2, TCP if layer is TCP else UDP)[3]

    def spoil(packet: Packet) -> None:
        packet[layer].chksum ^= 0x0100

    change(made, "outside-out", index, spoil, right=False)
    report = judge(made, tmp_path)
    assert report.counts == {Fault.CHECKSUM: 1}
    assert ("IP header" if layer is IP else "transport") in report.findings[0].text


def test_wrong_checksum_inside_of_icmp_error(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    index = indices(made, "inside-out", lambda p: ICMP in p and p[ICMP].type == 3)[1]
    time, frame = made.frames["inside-out"][index]
    spoiled = bytearray(frame)
    spoiled[14 + 20 + 8 + 10] ^= 1
    packet = Ether(bytes(spoiled))
    packet[ICMP].chksum = None
    made.frames["inside-out"][index] = time, bytes(packet)
    report = judge(made, tmp_path)
    assert report.counts == {Fault.CHECKSUM: 1}
    assert "inner IP header" in report.findings[0].text


def test_checksum_wrong_from_the_start_is_not_the_nats_fault(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    before = udp(1, 99)
    before[UDP].chksum = (before[UDP].chksum + 5) & 0xFFFF
    after = before.copy()
    public, port = made.mapped["udp", "16.0.0.1", 5000]
    after[IP].src, after[UDP].sport = public, port
    after[IP].chksum = after[UDP].chksum = None
    after = Ether(bytes(after))
    after[UDP].chksum = (after[UDP].chksum + 5) & 0xFFFF
    made.put("inside-in", before)
    made.put("outside-out", after)
    assert judge(made, tmp_path).good


def test_udp_without_checksum_keeps_none(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    packet = udp(1, 99)
    packet[UDP].chksum = 0
    made.outbound(packet)
    assert judge(made, tmp_path).good
    last = len(made.frames["outside-out"]) - 1
    change(made, "outside-out", last, lambda p: setattr(p[UDP], "chksum", 7), right=False)
    assert judge(made, tmp_path).counts == {Fault.CHECKSUM: 1}


def test_mapping_changed_in_mid_flow(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    for index in outputs_of(made, 5)[6:]:
        change(made, "outside-out", index, lambda p: setattr(p[UDP], "sport", 1025))
    faults = judge(made, tmp_path).counts
    assert faults[Fault.MAPPING_CHANGED] == 1


def test_mapping_that_depends_on_the_other_end(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    packet = udp(5, 99)
    packet[IP].dst, packet[IP].chksum, packet[UDP].chksum = "48.0.0.77", None, None
    made.outbound(Ether(bytes(packet)))
    assert judge(made, tmp_path).good
    change(made, "outside-out", len(made.frames["outside-out"]) - 1, lambda p: setattr(p[UDP], "sport", 1025))
    assert judge(made, tmp_path).counts[Fault.MAPPING_CHANGED] == 1


def test_two_flows_on_one_public_port(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    address, port = made.mapped["udp", "16.0.0.2", 5000]
    for index in outputs_of(made, 4):

        def share(packet: Packet) -> None:
            packet[IP].src, packet[UDP].sport = address, port

        change(made, "outside-out", index, share)
    assert judge(made, tmp_path).counts[Fault.ENDPOINT_SHARED] >= 1


def test_public_port_may_be_given_again_after_its_idle_time(tmp_path: Path) -> None:
    made = Scenario()
    made.outbound(udp(2, 1))
    made.now += 10_000
    made.mapped["udp", "16.0.0.4", 5000] = made.mapped["udp", "16.0.0.2", 5000]
    made.outbound(udp(4, 1))
    assert judge(made, tmp_path, Rules(idle={17: Idle(5 * 10**9)})).good
    assert judge(made, tmp_path, Rules(idle={17: Idle(60 * 10**9)})).counts == {Fault.ENDPOINT_SHARED: 1}


def test_mappings_may_end_where_the_nat_has_lost_some(tmp_path: Path) -> None:
    made = Scenario()
    made.outbound(udp(2, 1))
    before = made.mapped["udp", "16.0.0.2", 5000]
    lost_ms = made.now + 1
    made.now += 10
    made.mapped["udp", "16.0.0.2", 5000] = before[0], before[1] + 1
    made.outbound(udp(2, 2))
    made.mapped["udp", "16.0.0.4", 5000] = before
    made.outbound(udp(4, 1))

    def faults(since_ms: int, remainder: int) -> dict[Fault, int]:
        loss = Loss(since_ms * 10**6, (lost_ms + 5) * 10**6, frozenset({remainder}))
        return dict(judge(made, tmp_path, Rules(losses=(loss,))).counts)

    assert faults(lost_ms, before[1] % 256) == {}
    both = {Fault.MAPPING_CHANGED: 1, Fault.ENDPOINT_SHARED: 1}
    assert faults(lost_ms, (before[1] + 1) % 256) == both, "what was lost was somebody else's"
    assert faults(lost_ms + 10**6, before[1] % 256) == both, "nothing was lost yet"


@pytest.mark.parametrize("name", ["outside-out", "inside-out"])
def test_corrupted_payload(scenario: Make, tmp_path: Path, name: str) -> None:
    made = scenario()
    index = indices(made, name, lambda p: UDP in p and ICMP not in p)[9]

    def spoil(packet: Packet) -> None:
        data = bytearray(packet[Raw].load)
        data[3] ^= 0x40
        packet[Raw].load = bytes(data)

    change(made, name, index, spoil)
    assert judge(made, tmp_path).counts == {Fault.CORRUPTED: 1}


def test_packet_from_nowhere(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    stray = ether() / IP(src=PUBLIC[0], dst="48.3.3.3") / UDP(sport=9, dport=9) / Raw(b"what is this?")
    made.put("outside-out", stray)
    assert judge(made, tmp_path).counts == {Fault.UNEXPECTED: 1}


def test_answer_to_the_wrong_client(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    index = indices(made, "inside-out", lambda p: UDP in p and ICMP not in p and p[IP].dst == "16.0.0.3")[2]
    change(made, "inside-out", index, lambda p: setattr(p[IP], "dst", "16.0.0.6"))
    assert judge(made, tmp_path).counts[Fault.MISDELIVERED] == 1


def test_second_public_address_for_one_host(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    made.mapped["udp", "16.0.0.3", 7777] = (PUBLIC[0], 4321)  # its other mappings are on PUBLIC[1]
    made.outbound(udp(3, 50, port=7777))
    assert judge(made, tmp_path).counts == {Fault.ADDRESS_NOT_PAIRED: 1}


def test_address_that_is_not_public(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    made.outbound(udp(1, 99))
    change(made, "outside-out", len(made.frames["outside-out"]) - 1, lambda p: setattr(p[IP], "src", "16.0.0.1"))
    rules = Rules(public=frozenset((0xCB007101, 0xCB007102)))
    report = Translation(load(made.save(tmp_path), rules.public), rules).check().report
    assert report.counts[Fault.ADDRESS_NOT_PUBLIC] == 1


def test_time_to_live_that_falls_by_two(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    change(made, "outside-out", outputs_of(made, 3)[2], lambda p: setattr(p[IP], "ttl", p[IP].ttl - 2))
    assert judge(made, tmp_path).counts == {Fault.TIME_TO_LIVE: 1}


def test_clients_that_send_equal_packets(tmp_path: Path) -> None:
    made = Scenario()
    for number in range(5):
        for client in (1, 2, 3):
            if number < client + 2:
                packet = udp(client, 0)
                packet[Raw].load = b"always the same"
                packet[IP].len = packet[UDP].len = packet[IP].chksum = packet[UDP].chksum = None
                made.outbound(Ether(bytes(packet)))
    # The order between flows is free: the last client's packets come out first.
    made.frames["outside-out"].sort(key=lambda entry: Ether(entry[1])[UDP].sport)
    assert judge(made, tmp_path).findings == []


def test_fragments_follow_their_first(tmp_path: Path) -> None:
    made = Scenario()
    header = IP(src="16.0.0.1", dst=SERVER, id=77, flags="MF")
    packet = ether() / header / UDP(sport=5000, dport=53, len=48, chksum=0x1234) / Raw(b"f" * 24)
    first = Ether(bytes(packet))
    later = Ether(bytes(ether() / IP(src="16.0.0.1", dst=SERVER, id=77, frag=4, proto=17) / Raw(b"l" * 16)))
    made.put("inside-in", first)
    made.put("inside-in", later)
    address, port = PUBLIC[1], 4000
    # RFC 1624: the checksum of the whole datagram changes by the difference of address and port.
    delta = sum(words("16.0.0.1")) + 5000 - sum(words(address)) - port
    after = first.copy()
    after[IP].src, after[UDP].sport = address, port
    after[UDP].chksum, after[IP].chksum = (0x1234 + delta) % 0xFFFF, None
    made.put("outside-out", Ether(bytes(after)))
    after = later.copy()
    after[IP].src, after[IP].chksum = address, None
    made.put("outside-out", Ether(bytes(after)))
    assert judge(made, tmp_path).findings == []
    after[IP].src, after[IP].chksum = PUBLIC[0], None
    made.frames["outside-out"][1] = 0, bytes(after)
    assert judge(made, tmp_path).counts == {Fault.ADDRESS_NOT_PAIRED: 1}


def test_hairpin(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    server, server_port = made.mapped["udp", "16.0.0.2", 5000]
    client, client_port = made.mapped["udp", "16.0.0.5", 5000]
    before = ether() / IP(src="16.0.0.5", dst=server) / UDP(sport=5000, dport=server_port) / Raw(b"neighbour")
    after = ether() / IP(src=client, dst="16.0.0.2") / UDP(sport=client_port, dport=5000) / Raw(b"neighbour")
    made.put("inside-in", Ether(bytes(before)))
    made.put("inside-out", Ether(bytes(after)))
    assert judge(made, tmp_path).findings == []
    after[UDP].sport = 1111
    made.frames["inside-out"][-1] = made.now, bytes(after)
    assert judge(made, tmp_path).counts == {Fault.MAPPING_CHANGED: 1}


def test_what_no_nat_translates_is_counted_only(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    made.put("inside-in", Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff", type=0x0806) / Raw(b"\0" * 28))
    made.put("inside-in", ether() / Dot1Q(vlan=7) / Raw(b"\0"))
    report = judge(made, tmp_path)
    assert report.good
    assert report.checked["frames_not_translatable"] == 2


def test_unsolicited_packet_may_be_dropped(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    made.put("outside-in", ether() / IP(src=SERVER, dst=PUBLIC[0]) / UDP(sport=53, dport=1) / Raw(b"?"))
    assert judge(made, tmp_path).good


def test_several_captures_of_one_kind_are_merged(scenario: Make, tmp_path: Path) -> None:
    made = scenario()
    whole = made.frames["outside-out"]
    made.frames["outside-out"], other = whole[::2], Scenario()
    other.frames["outside-out"] = whole[1::2]
    made.save(tmp_path)
    (other.save(tmp_path / "other") / "outside-out.pcap").rename(tmp_path / "outside-out-2.pcap")
    assert Translation(load(tmp_path), Rules()).check().report.good


def test_command_line(scenario: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = scenario()
    folder = str(made.save(tmp_path))
    assert main(["translation", folder, "--public", "203.0.113.0/28"]) == 0
    assert "verdict: good" in capsys.readouterr().out
    made.outbound(echo(1, 50))
    made.outbound(tcp(1, 50))
    del made.frames["outside-out"][-1]
    made.save(tmp_path)
    assert main(["translation", folder, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "bad"
    assert document["counts"]["lost"] == 1
    (tmp_path / "outside-out.pcap").write_bytes(b"no capture, but long enough")
    assert main(["translation", folder]) == 2
    assert "not a classic pcap" in capsys.readouterr().err
