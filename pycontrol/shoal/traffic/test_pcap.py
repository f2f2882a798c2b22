# SPDX-License-Identifier: BSD-3-Clause
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from shoal.traffic.conftest import MakeDocument, MakeStream, udp_frame
from shoal.traffic.pcap import write_profile
from shoal.traffic.streams import parse_streams
from shoal_dataplane import DataplaneError

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "tests" / "data" / "field_engine.json"


def read_pcap(path: Path) -> list[tuple[int, bytes]]:
    """Times in nanoseconds, and frames."""
    data = path.read_bytes()
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert (magic, link) == (0xA1B2C3D4, 1)
    found, at = [], 24
    while at < len(data):
        seconds, microseconds, kept, length = struct.unpack_from("<IIII", data, at)
        assert kept == length
        found.append((seconds * 10**9 + microseconds * 1000, data[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return found


def recorded() -> list[Any]:
    cases: list[Any] = json.loads(RECORDED.read_text())["cases"]
    return cases


@pytest.mark.parametrize("case", recorded(), ids=lambda case: case["name"])
def test_frames_are_those_of_a_real_server(case: Any, make_document: MakeDocument, tmp_path: Path) -> None:
    traffic = parse_streams(make_document(case["stream"] | {"next_stream_id": -1}))
    assert write_profile(tmp_path / "x.pcap", traffic, 24) == 24
    written = [frame.hex() for _, frame in read_pcap(tmp_path / "x.pcap")]
    assert written == case["packets"]


def test_times_and_ends(make_document: MakeDocument, make_stream: MakeStream, tmp_path: Path) -> None:
    burst = {"rate": {"type": "pps", "value": 4}, "type": "single_burst", "total_pkts": 6}
    traffic = parse_streams(make_document(make_stream(mode=burst, isg=250000.0)))
    assert write_profile(tmp_path / "x.pcap", traffic, 100) == 6
    packets = read_pcap(tmp_path / "x.pcap")
    assert [time for time, _ in packets] == [round((0.25 + 0.25 * number) * 10**9) for number in range(6)]
    assert all(frame == udp_frame() for _, frame in packets)
    assert write_profile(tmp_path / "x.pcap", traffic, 100, multiplier=2) == 6
    assert read_pcap(tmp_path / "x.pcap")[1][0] == 375 * 10**6
    assert write_profile(tmp_path / "x.pcap", traffic, 100, duration_s=1) == 3


def test_ports_are_merged(make_document: MakeDocument, make_stream: MakeStream, tmp_path: Path) -> None:
    ports = [json.loads(make_document(make_stream()))["ports"][0] | {"nf_port": number} for number in (0, 1)]
    traffic = parse_streams(make_document(ports=ports))
    assert write_profile(tmp_path / "x.pcap", traffic, 10) == 10
    assert [time // 10**6 for time, _ in read_pcap(tmp_path / "x.pcap")] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_what_cannot_be_sent_is_refused_with_its_stream(
    make_document: MakeDocument, make_stream: MakeStream, tmp_path: Path
) -> None:
    slow = {"rate": {"type": "percentage", "value": 1}, "type": "continuous"}
    with pytest.raises(DataplaneError, match=r"stream 0 \(slow\): a rate in percent"):
        write_profile(tmp_path / "x.pcap", parse_streams(make_document(make_stream(name="slow", mode=slow))), 1)
    with pytest.raises(ValueError, match="at least one packet"):
        write_profile(tmp_path / "x.pcap", parse_streams(make_document(make_stream())), 0)
