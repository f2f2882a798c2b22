# SPDX-License-Identifier: BSD-3-Clause
import pytest

from shoal.traffic.conftest import MakeDocument, MakeStream
from shoal.traffic.options import OptionError, TrafficOptions, multiplier_of, options_as_text, parse_options
from shoal.traffic.streams import CompiledTraffic, parse_streams


@pytest.fixture
def traffic(make_document: MakeDocument, make_stream: MakeStream) -> CompiledTraffic:
    """1000 packets a second of 102 bytes (106 with FCS), and a latency stream."""
    group = {"enabled": True, "stream_id": 7, "rule_type": "latency"}
    return parse_streams(make_document(make_stream(), make_stream(flow_stats=group), link_bps=10**10))


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("2", 2),
        ("0.5", 0.5),
        ("10kpps", 10),
        ("1mpps", 1000),
        ("848kbps", 1),
        ("1008kbpsl1", 1),
        ("50%", 5e9 / 1008000),
    ],
)
def test_multipliers(traffic: CompiledTraffic, text: str, factor: float) -> None:
    assert multiplier_of(text, traffic) == pytest.approx(factor)


@pytest.mark.parametrize("text", ["", "0", "-1", "1 000", "2x", "10kk", "50%%", "inf", "1e3"])
def test_what_is_no_multiplier(traffic: CompiledTraffic, text: str) -> None:
    with pytest.raises(OptionError, match="multiplier"):
        multiplier_of(text, traffic)


def test_a_percentage_needs_a_link(make_document: MakeDocument, make_stream: MakeStream) -> None:
    with pytest.raises(OptionError, match="link with a speed"):
        multiplier_of("1%", parse_streams(make_document(make_stream())))


def test_options_go_there_and_back() -> None:
    options = TrafficOptions(multiplier="3kpps", duration=2.5, warm_up=1, flow_idle=4, respond_every=3)
    assert parse_options(options_as_text(options)) == options
    assert parse_options({}) == TrafficOptions()
    assert not parse_options({"stamp": "false"}).check_mappings


@pytest.mark.parametrize(
    "options",
    [
        {"speed": "1"},
        {"duration": "-1"},
        {"duration": "nan"},
        {"stamp": "yes"},
        {"respond_every": "1.5"},
        {"respond_every": str(1 << 32)},
        {"flow_idle": "0"},
        {"stamp": "false", "respond_every": "1"},
        {"stamp": "false", "check_mappings": "true"},
        {"multiplier": "many"},
    ],
)
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(OptionError, match=":"):
        parse_options(options)
