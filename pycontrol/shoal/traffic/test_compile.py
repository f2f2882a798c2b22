# SPDX-License-Identifier: BSD-3-Clause
"""With TRex's own client, in the environment that setup makes."""

import struct
from pathlib import Path

import pytest

from shoal.traffic import pcap
from shoal.traffic.compile import INSIDE, OUTSIDE, CompileError, client_python, compile_profile
from shoal.traffic.streams import CompiledTraffic, parse_streams
from shoal_dataplane.stream import GroupKind, RateKind, Stream

PROFILES = Path(__file__).parents[3] / "trex_profiles"
NAMES = sorted(path.name for path in PROFILES.glob("*.py"))
KEEP_BOTH_MACS = 3
CLIENT_MAC, SERVER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
CLIENTS, SERVERS = 16, 48  # first byte of the address
UDP = 17


async def compiled(name: str, *tunables: str) -> CompiledTraffic:
    return parse_streams(await compile_profile(PROFILES / name, (INSIDE, OUTSIDE), tunables))


def test_there_are_profiles() -> None:
    assert {"udp_flows.py", "nat_churn.py", "imix.py", "scale_ramp.py"} <= set(NAMES)


def lint(stream: Stream, direction: int) -> list[str]:
    """What a profile that runs anywhere must not have."""
    packet = stream.packet
    source, destination = (CLIENTS, SERVERS) if direction == 0 else (SERVERS, CLIENTS)
    macs = (SERVER_MAC, CLIENT_MAC) if direction == 0 else (CLIENT_MAC, SERVER_MAC)
    rules = {
        "explicit MAC addresses": stream.flags & KEEP_BOTH_MACS == KEEP_BOTH_MACS
        and packet[:6] + packet[6:12] == b"".join(macs),
        "clients in 16.0.0.0/8, servers in 48.0.0.0/8": (packet[26], packet[30]) == (source, destination),
        "a rate in packets or bits": stream.rate_kind in (RateKind.PPS, RateKind.BPS_L1, RateKind.BPS_L2),
        "a seed": stream.random_seed != 0,
        "a name": bool(stream.name) and not stream.name.startswith("stream "),
        "no cache": stream.cache == 0,
    }
    if stream.group_kind is GroupKind.LATENCY:
        rules["no UDP checksum in latency packets"] = packet[23] == UDP and packet[40:42] == b"\0\0"
    return [rule for rule, good in rules.items() if not good]


@pytest.mark.parametrize("name", NAMES)
async def test_profiles_are_portable(name: str) -> None:
    tunables = ["--latency-pps", "10"] if name == "udp_flows.py" else []
    traffic = await compiled(name, *tunables)
    assert [port.direction for port in traffic.ports] == [0, 1]
    for port in traffic.ports:
        assert port.streams
        for stream in port.streams:
            assert lint(stream, port.direction) == [], stream.name
    groups = [
        stream.group for port in traffic.ports for stream in port.streams if stream.group_kind is not GroupKind.NONE
    ]
    assert len(set(groups)) == len(groups)


def packets_of(traffic: CompiledTraffic, count: int, path: Path) -> list[bytes]:
    pcap.write_profile(path, traffic, count)
    data, at, found = path.read_bytes(), 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return found


async def test_sizes_include_the_fcs_and_flows_are_as_many_as_asked_for(tmp_path: Path) -> None:
    traffic = parse_streams(
        await compile_profile(
            PROFILES / "udp_flows.py", (INSIDE,), ["--size", "100", "--clients", "3", "--ports", "5", "--servers", "2"]
        )
    )
    packets = packets_of(traffic, 300, tmp_path / "x.pcap")
    assert {len(packet) for packet in packets} == {96}
    assert len({packet[26:30] for packet in packets}) == 3
    assert len({packet[30:34] for packet in packets}) == 2
    assert {struct.unpack_from("!H", packet, 34)[0] for packet in packets} == set(range(1024, 1029))


async def test_new_flows_send_so_many_packets_each(tmp_path: Path) -> None:
    tunables = [
        "--flows",
        "7",
        "--pps",
        "100",
        "--new-flows",
        "50",
        "--packets",
        "3",
        "--life",
        "0.5",
        "--clients",
        "4",
    ]
    traffic = parse_streams(await compile_profile(PROFILES / "nat_churn.py", (INSIDE,), tunables))
    packets = packets_of(traffic, 2000, tmp_path / "x.pcap")
    staying = [packet[26:36] for packet in packets if packet[27] == 0]
    new = [packet[26:36] for packet in packets if packet[27] == 1]
    assert len(set(staying)) == 7
    counts = [new.count(flow) for flow in dict.fromkeys(new)]
    assert len(counts) > 300
    assert set(counts[:300]) == {3}


async def test_the_ramp_goes_up_and_down() -> None:
    tunables = ["--low", "10", "--high", "30", "--steps", "3", "--hold", "2"]
    traffic = parse_streams(await compile_profile(PROFILES / "scale_ramp.py", (INSIDE,), tunables))
    streams = traffic.ports[0].streams
    assert [(stream.rate, stream.burst_packets, stream.next) for stream in streams] == [
        (10, 20, 1),
        (20, 40, 2),
        (30, 60, 3),
        (20, 40, 4),
        (10, 20, -1),
    ]


async def test_faults_are_sentences(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module\n")
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    for profile, tunables, expected in (
        (tmp_path / "missing.py", [], "no such file"),
        (broken, [], "no_such_module"),
        (empty, [], "register"),
        (PROFILES / "imix.py", ["--speed", "1"], "unrecognized arguments: --speed"),
        (PROFILES / "imix.py", ["--help"], "packets a second, of all sizes together"),
    ):
        with pytest.raises(CompileError, match=expected):
            await compile_profile(profile, (INSIDE,), tunables)
    with pytest.raises(CompileError, match="holds no TRex"):
        await compile_profile(PROFILES / "imix.py", trex_home=tmp_path)


async def test_a_client_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHOAL_TREX_PYTHON", str(tmp_path / "python"))
    assert client_python() == tmp_path / "python"
    with pytest.raises(CompileError, match="can't be started"):
        await compile_profile(PROFILES / "imix.py")
