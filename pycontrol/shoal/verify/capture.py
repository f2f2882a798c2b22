# SPDX-License-Identifier: BSD-3-Clause
"""Classic pcap files (the libpcap format, version 2.4): Ethernet frames without FCS, in microseconds or nanoseconds."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC_MICROSECONDS = 0xA1B2C3D4
MAGIC_NANOSECONDS = 0xA1B23C4D
LINK_ETHERNET = 1
FILE_HEADER_BYTES = 24
RECORD_HEADER_BYTES = 16
FRAME_BYTES_MAX = 262144


class CaptureError(ValueError):
    """A file is not a capture that can be judged."""


@dataclass(frozen=True, slots=True)
class Record:
    """One captured frame."""

    time_ns: int
    frame: bytes


def read(path: Path) -> Iterator[Record]:
    """The frames of a file in its order. CaptureError where it is no pcap, not Ethernet, or cut."""
    with path.open("rb") as file:
        order, nanoseconds = _file_header(path, file.read(FILE_HEADER_BYTES))
        record = struct.Struct(order + "IIII")
        while header := file.read(RECORD_HEADER_BYTES):
            if len(header) < RECORD_HEADER_BYTES:
                raise CaptureError(f"{path}: ends within a record's header")
            seconds, fraction, kept, length = record.unpack(header)
            yield Record(seconds * 10**9 + fraction * (1 if nanoseconds else 1000), _frame(path, file, kept, length))


def _file_header(path: Path, header: bytes) -> tuple[str, bool]:
    if len(header) < FILE_HEADER_BYTES:
        raise CaptureError(f"{path}: too short for a pcap file")
    for order in "<", ">":
        (magic,) = struct.unpack_from(order + "I", header)
        if magic in (MAGIC_MICROSECONDS, MAGIC_NANOSECONDS):
            (link,) = struct.unpack_from(order + "I", header, 20)
            if link & 0xFFFF != LINK_ETHERNET:
                raise CaptureError(f"{path}: link type {link & 0xFFFF}, not Ethernet")
            return order, magic == MAGIC_NANOSECONDS
    raise CaptureError(f"{path}: not a classic pcap file (for pcapng: editcap -F pcap)")


def _frame(path: Path, file: BinaryIO, kept: int, length: int) -> bytes:
    if kept > FRAME_BYTES_MAX:
        raise CaptureError(f"{path}: a record of {kept} bytes; the file is damaged")
    frame = file.read(kept)
    if len(frame) < kept:
        raise CaptureError(f"{path}: ends within a frame")
    if kept < length:
        raise CaptureError(f"{path}: holds {kept} of a frame's {length} bytes; capture whole frames (tcpdump -s 0)")
    return frame


def read_all(paths: Iterable[Path]) -> Iterator[Record]:
    """The frames of several files (one for each instance, say) by time; each file's own order is kept where times
    tie."""
    return heapq.merge(*(read(path) for path in paths), key=lambda record: record.time_ns)


def write(path: Path, records: Iterable[Record]) -> None:
    """Writes a capture with nanosecond times."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", MAGIC_NANOSECONDS, 2, 4, 0, 0, FRAME_BYTES_MAX, LINK_ETHERNET))
        for record in records:
            seconds, nanoseconds = divmod(record.time_ns, 10**9)
            file.write(struct.pack("<IIII", seconds, nanoseconds, len(record.frame), len(record.frame)))
            file.write(record.frame)
