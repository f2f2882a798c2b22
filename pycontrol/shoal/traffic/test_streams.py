# SPDX-License-Identifier: BSD-3-Clause
import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.traffic.conftest import MakeDocument, MakeStream
from shoal.traffic.streams import StreamsError, parse_streams
from shoal_dataplane.stream import GroupKind, InstructionKind, RateKind, StreamMode

VARIABLE = {
    "type": "flow_var",
    "name": "a",
    "size": 2,
    "op": "inc",
    "next_var": None,
    "split_to_cores": True,
    "init_value": 0,
    "min_value": 0,
    "max_value": 9,
    "step": 1,
}
WRITE = {"type": "write_flow_var", "name": "a", "pkt_offset": 34, "add_value": -1, "is_big_endian": True}


def test_a_stream_is_read(make_document: MakeDocument, make_stream: MakeStream) -> None:
    mode = {
        "rate": {"type": "bps_L2", "value": 5e6},
        "type": "multi_burst",
        "pkts_per_burst": 4,
        "ibg": 10.5,
        "count": 3,
    }
    group = {"enabled": True, "stream_id": 7, "vxlan": False, "ieee_1588": False, "rule_type": "latency"}
    made = make_stream(
        name="A", next_stream_id=0, mode=mode, flow_stats=group, vm={"instructions": [VARIABLE, WRITE], "cache": 4}
    )
    traffic = parse_streams(make_document(made))
    (stream,) = traffic.ports[0].streams
    assert (stream.name, stream.next, stream.mode, stream.burst_packets, stream.bursts) == (
        "A",
        0,
        StreamMode.MULTI_BURST,
        4,
        3,
    )
    assert (stream.rate_kind, stream.rate, stream.burst_gap_us, stream.cache) == (RateKind.BPS_L2, 5e6, 10.5, 4)
    assert (stream.group_kind, stream.group) == (GroupKind.LATENCY, 7)
    assert [each.kind for each in stream.instructions] == [
        InstructionKind.FLOW_VAR,
        InstructionKind.WRITE_FLOW_VAR,
    ]
    assert stream.instructions[1].add_value == -1


def test_addresses_that_the_profile_has_not_set_are_the_ports(
    make_document: MakeDocument, make_stream: MakeStream
) -> None:
    addresses = [
        parse_streams(make_document(make_stream(flags=flags))).ports[0].streams[0].packet[:12].hex()
        for flags in (0, 1, 2, 3)
    ]
    own, ports = "000000000000", ("020000000002", "020000000001")
    assert addresses == [ports[0] + ports[1], ports[0] + own, own + ports[1], own + own]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"mode": {"rate": {"type": "mps", "value": 1}, "type": "continuous"}}, "stream 0, mode, rate, type"),
        ({"mode": {"rate": {"type": "pps", "value": -1}, "type": "continuous"}}, "stream 0, mode, rate, value"),
        ({"mode": {"rate": {"type": "pps", "value": True}, "type": "continuous"}}, "stream 0, mode, rate, value"),
        ({"mode": {"rate": {"type": "pps", "value": 1}, "type": "single_burst"}}, "total_pkts: is missing"),
        ({"mode": {"rate": {"type": "pps", "value": 1}, "type": "wild"}}, "stream 0, mode, type"),
        ({"mode": 3}, "stream 0, mode: an object"),
        ({"packet": {"binary": "A?"}}, "stream 0, packet, binary: not base64"),
        ({"packet": {"binary": base64.b64encode(bytes(13)).decode()}}, "a frame of 13 bytes"),
        ({"packet": {"binary": base64.b64encode(bytes(9239)).decode()}}, "a frame of 9239 bytes"),
        ({"enabled": 1}, "stream 0, enabled"),
        ({"isg": None}, "stream 0, isg"),
        ({"isg": float("nan")}, "stream 0, isg"),
        ({"next_stream_id": 1}, "there is no stream 1"),
        ({"next_stream_id": -2}, "stream 0, next_stream_id"),
        ({"action_count": 1 << 16}, "stream 0, action_count"),
        ({"vm": {"instructions": [{"type": "jump"}]}}, "stream 0, instruction 0, type"),
        ({"vm": {"instructions": [VARIABLE | {"op": "up"}]}}, "stream 0, instruction 0, op"),
        ({"vm": {"instructions": [VARIABLE | {"name": "x" * 64}]}}, "stream 0, instruction 0, name"),
        ({"vm": {"instructions": [VARIABLE | {"value_list": []}]}}, "stream 0, instruction 0, value_list"),
        ({"vm": {"instructions": [VARIABLE, WRITE | {"pkt_offset": -1}]}}, "stream 0, instruction 1, pkt_offset"),
        ({"flow_stats": {"enabled": True, "rule_type": "x", "stream_id": 1}}, "stream 0, flow_stats, rule_type"),
        ({"flow_stats": {"enabled": True, "vxlan": True}}, "VXLAN"),
    ],
)
def test_faults_name_stream_and_field(
    make_document: MakeDocument, make_stream: MakeStream, changes: dict[str, Any], where: str
) -> None:
    with pytest.raises(StreamsError) as caught:
        parse_streams(make_document(make_stream(**changes)))
    assert where in str(caught.value)


def test_documents_of_another_kind_are_refused(make_document: MakeDocument, make_stream: MakeStream) -> None:
    good = json.loads(make_document(make_stream()))
    for document, where in (
        (b"no", "not JSON"),
        (b"[]", "object"),
        (make_document(version=2), "format"),
        (make_document(ports=good["ports"] * 2), "twice"),
        (make_document(ports=[good["ports"][0] | {"nf_port": 8}]), "nf_port"),
        (make_document(ports=[good["ports"][0] | {"source_mac": "02:00"}]), "no MAC address"),
        (make_document(link_bps=-1), "link_bps"),
    ):
        with pytest.raises(StreamsError, match=where):
            parse_streams(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_no_change_of_a_good_document_does_worse_than_a_fault(data: st.DataObject) -> None:
    """Replaces one value, anywhere, by anything: it is read, or refused with a sentence."""
    frame = base64.b64encode(bytes(60)).decode()
    stream: Any = {
        "flags": 3,
        "action_count": 0,
        "enabled": True,
        "self_start": True,
        "isg": 0.0,
        "mode": {"rate": {"type": "pps", "value": 1000}, "type": "continuous"},
        "packet": {"binary": frame},
        "vm": {"instructions": [dict(VARIABLE), dict(WRITE)]},
        "flow_stats": {"enabled": False},
        "next_stream_id": -1,
    }
    port = {
        "nf_port": 0,
        "direction": 0,
        "source_mac": "02:00:00:00:00:01",
        "destination_mac": "02:00:00:00:00:02",
        "streams": [stream],
    }
    document: Any = {"format": "shoal-streams", "version": 1, "profile": "p", "tunables": [], "ports": [port]}
    document["link_bps"] = 0
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        deeper = isinstance(place[key], dict | list) and len(place[key]) and data.draw(st.booleans())
        if not deeper:
            break
        place = place[key]
    place[key] = data.draw(JSON)
    with contextlib.suppress(StreamsError):
        parse_streams(json.dumps(document).encode())
