# SPDX-License-Identifier: BSD-3-Clause
"""Reads compiled streams: JSON in, frozen values out, and every fault named with its stream and field."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from shoal.traffic.compile import FORMAT, VERSION
from shoal.traffic.fields import Reader, StreamsError
from shoal.traffic.instructions import read_instruction
from shoal_dataplane.constants import NF_PORTS_MAX
from shoal_dataplane.stream import (
    FRAME_BYTES_MAX,
    FRAME_BYTES_MIN,
    GroupKind,
    RateKind,
    Stream,
    StreamMode,
)

U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFFFFFF
INSTRUCTIONS_MAX: Final = 1024
FLAG_KEEP_SOURCE: Final = 1
DESTINATION_SHIFT: Final = 1
DESTINATION_FROM_PACKET: Final = 1
MAC_BYTES: Final = 6

RATES: Final[Mapping[str, RateKind]] = {
    "pps": RateKind.PPS,
    "bps_L1": RateKind.BPS_L1,
    "bps_L2": RateKind.BPS_L2,
    "percentage": RateKind.PERCENTAGE,
}
GROUPS: Final[Mapping[str, GroupKind]] = {"stats": GroupKind.STATISTICS, "latency": GroupKind.LATENCY}


@dataclass(frozen=True, slots=True)
class PortStreams:
    """What one NF port sends."""

    nf_port: int
    direction: int
    streams: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class CompiledTraffic:
    """A whole profile."""

    profile: str
    tunables: tuple[str, ...]
    link_bps: int
    ports: tuple[PortStreams, ...]


def parse_streams(document: bytes) -> CompiledTraffic:
    """StreamsError where the document is not what shoal.traffic.compile writes."""
    try:
        value = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise StreamsError(f"not JSON: {error}") from None
    reader = Reader.of(value, "")
    if reader.text("format") != FORMAT or reader.integer("version") != VERSION:
        raise StreamsError(f"format: this is not {FORMAT} version {VERSION}")
    ports = tuple(_port(each) for each in reader.readers("ports"))
    numbers = [port.nf_port for port in ports]
    if len(set(numbers)) != len(numbers):
        raise StreamsError("ports: a port is there twice")
    return CompiledTraffic(
        profile=reader.text("profile"),
        tunables=tuple(reader.texts("tunables")),
        link_bps=reader.integer("link_bps", most=1 << 50),
        ports=ports,
    )


def _port(reader: Reader) -> PortStreams:
    nf_port = reader.integer("nf_port", most=NF_PORTS_MAX - 1)
    macs = _mac(reader, "source_mac"), _mac(reader, "destination_mac")
    readers = reader.readers("streams", lambda index: f"port {nf_port}, stream {index}")
    streams = tuple(_stream(each, index, macs) for index, each in enumerate(readers))
    for stream, each in zip(streams, readers, strict=True):
        if stream.next >= len(streams):
            raise each.fault("next_stream_id", f"there is no stream {stream.next}")
    return PortStreams(nf_port, reader.integer("direction", most=1), streams)


def _mac(reader: Reader, key: str) -> bytes:
    text = reader.text(key)
    parts = text.split(":")
    try:
        address = bytes(int(part, 16) for part in parts if len(part) == 2)
    except ValueError:
        address = b""
    if len(parts) != MAC_BYTES or len(address) != MAC_BYTES:
        raise reader.fault(key, f"{text!r} is no MAC address")
    return address


def _packet(reader: Reader, flags: int, macs: tuple[bytes, bytes]) -> bytes:
    """The frame. Addresses that the profile has not set are the port's."""
    packet = reader.reader("packet")
    try:
        frame = bytearray(base64.b64decode(packet.text("binary"), validate=True))
    except binascii.Error as error:
        raise packet.fault("binary", f"not base64: {error}") from None
    if not FRAME_BYTES_MIN <= len(frame) <= FRAME_BYTES_MAX:
        raise packet.fault(
            "binary", f"a frame of {len(frame)} bytes; {FRAME_BYTES_MIN} to {FRAME_BYTES_MAX} are possible"
        )
    source, destination = macs
    if flags >> DESTINATION_SHIFT & 3 != DESTINATION_FROM_PACKET:
        frame[:MAC_BYTES] = destination
    if not flags & FLAG_KEEP_SOURCE:
        frame[MAC_BYTES : 2 * MAC_BYTES] = source
    return bytes(frame)


def _continuous(stream: Stream, _: Reader) -> Stream:
    return replace(stream, mode=StreamMode.CONTINUOUS)


def _single_burst(stream: Stream, mode: Reader) -> Stream:
    packets = mode.integer("total_pkts", least=1, most=U32_MAX)
    return replace(stream, mode=StreamMode.SINGLE_BURST, burst_packets=packets)


def _multi_burst(stream: Stream, mode: Reader) -> Stream:
    return replace(
        stream,
        mode=StreamMode.MULTI_BURST,
        burst_packets=mode.integer("pkts_per_burst", least=1, most=U32_MAX),
        bursts=mode.integer("count", most=U32_MAX),
        burst_gap_us=mode.number("ibg"),
    )


MODES: Final[Mapping[str, Callable[[Stream, Reader], Stream]]] = {
    "continuous": _continuous,
    "single_burst": _single_burst,
    "multi_burst": _multi_burst,
}


def _group(stream: Stream, reader: Reader) -> Stream:
    group = reader.reader("flow_stats")
    if not group.boolean("enabled"):
        return stream
    if group.boolean("vxlan", default=False) or group.boolean("ieee_1588", default=False):
        raise group.fault("vxlan", "neither VXLAN nor IEEE 1588 packets can be measured")
    return replace(stream, group_kind=group.choice("rule_type", GROUPS), group=group.integer("stream_id", most=U32_MAX))


def _stream(reader: Reader, index: int, macs: tuple[bytes, bytes]) -> Stream:
    flags = reader.integer("flags", most=U16_MAX)
    mode = reader.reader("mode")
    rate = mode.reader("rate")
    program = reader.reader("vm")
    instructions = program.readers("instructions", lambda at: f"{reader.where}, instruction {at}")
    if len(instructions) > INSTRUCTIONS_MAX:
        raise program.fault("instructions", f"{len(instructions)} of them; {INSTRUCTIONS_MAX} are possible")
    stream = Stream(
        packet=_packet(reader, flags, macs),
        rate_kind=rate.choice("type", RATES),
        rate=rate.number("value"),
        name=(reader.text("name", default="") or f"stream {index}")[:60],
        flags=flags,
        enabled=reader.boolean("enabled"),
        self_start=reader.boolean("self_start"),
        start_paused=reader.boolean("start_paused", default=False),
        start_gap_us=reader.number("isg"),
        action_count=reader.integer("action_count", most=U16_MAX),
        next=reader.integer("next_stream_id", least=-1, most=U32_MAX),
        random_seed=reader.integer("random_seed", most=U32_MAX, default=0),
        instructions=tuple(read_instruction(each) for each in instructions),
        cache=program.integer("cache", most=U16_MAX, default=0),
    )
    return _group(mode.choice("type", MODES)(stream, mode), reader)


__all__ = ["CompiledTraffic", "PortStreams", "StreamsError", "parse_streams"]
