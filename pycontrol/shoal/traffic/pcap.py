# SPDX-License-Identifier: BSD-3-Clause
"""What the generator would send, written to a classic pcap file: frames without FCS, times in microseconds."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from shoal.traffic.streams import CompiledTraffic
from shoal_dataplane.generator import Preview, PreviewPacket
from shoal_dataplane.stream import FRAME_BYTES_MAX

MAGIC_MICROSECONDS: Final = 0xA1B2C3D4
VERSION: Final = (2, 4)
LINK_ETHERNET: Final = 1
US_PER_S: Final = 1_000_000
DEFAULT_SEED: Final = 1


def write_pcap(file: BinaryIO, packets: Iterable[PreviewPacket]) -> int:
    """Returns how many there were."""
    file.write(struct.pack("<IHHiIII", MAGIC_MICROSECONDS, *VERSION, 0, 0, FRAME_BYTES_MAX, LINK_ETHERNET))
    count = 0
    for packet in packets:
        seconds, microseconds = divmod(round(packet.time_s * US_PER_S), US_PER_S)
        file.write(struct.pack("<IIII", seconds, microseconds, len(packet.frame), len(packet.frame)))
        file.write(packet.frame)
        count += 1
    return count


def make_preview(traffic: CompiledTraffic, *, seed: int = DEFAULT_SEED) -> Preview:
    """Of all ports. DataplaneError with a sentence where a stream can't be."""
    preview = Preview(traffic.link_bps, seed)
    try:
        for port in traffic.ports:
            for stream in port.streams:
                preview.add_stream(port.nf_port, stream)
    except BaseException:
        preview.close()
        raise
    return preview


def write_profile(
    path: Path,
    traffic: CompiledTraffic,
    packets: int,
    *,
    multiplier: float = 1.0,
    duration_s: float = 0.0,
    seed: int = DEFAULT_SEED,
) -> int:
    """Writes the first packets of all ports, by time, as a pcap file. Needs no EAL, port, hugepage or controller.
    Returns how many there were: fewer than asked for when the streams end earlier."""
    if packets < 1:
        raise ValueError(f"at least one packet, not {packets}")
    with make_preview(traffic, seed=seed) as preview:
        preview.start(multiplier, duration_s)
        chosen = islice(preview.packets(), packets)
        with path.open("wb") as file:
            return write_pcap(file, chosen)
