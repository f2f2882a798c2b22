# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seed corpora of the stream and the stamp targets.

python3 tests/fuzz/make_stream_corpus.py tests/fuzz/corpus/stream tests/fuzz/corpus/stamp
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

FLOW_VAR, RAND_LIMIT, TUPLE, WRITE, WRITE_MASK, TRIM, FIX_IPV4, FIX_HW = range(8)
INC, DEC, RANDOM = range(3)
UDP_TYPE = 11
UNLIMITED, IP, PORT = 1, 1 << 6, 2 << 6


def udp(payload: int, *, checksum: int = 0) -> bytes:
    """A plain frame from 16.0.0.1 to 48.0.0.1."""
    head = struct.pack("!HHHH", 1024, 53, 8 + payload, checksum)
    ip = struct.pack("!BBHHHBBH4B4B", 0x45, 0, 28 + payload, 1, 0, 64, 17, 0, 16, 0, 0, 1, 48, 0, 0, 1)
    return bytes(5) + b"\x02" + bytes(5) + b"\x01" + b"\x08\x00" + ip + head + bytes(payload)


def tcp(payload: int) -> bytes:
    head = struct.pack("!HHIIBBHHH", 1024, 80, 1, 2, 5 << 4, 0x10, 65535, 0, 0)
    ip = struct.pack("!BBHHHBBH4B4B", 0x45, 0, 40 + payload, 1, 0, 64, 6, 0, 16, 0, 0, 1, 48, 0, 0, 1)
    return bytes(5) + b"\x02" + bytes(5) + b"\x01" + b"\x08\x00" + ip + head + bytes(payload)


def instruction(
    kind: int,
    *,
    letters: tuple[int, int] = (1, 0),
    operation: int = INC,
    size: int = 2,
    values: int = 0,
    numbers: tuple[int, int, int, int] = (0, 0, 9, 1),
    offset: int = 46,
    mask: int = 0xFFFF,
    rest: tuple[int, int, int, int] = (0, 2, 1, UDP_TYPE),
) -> bytes:
    return struct.pack("<6B4QIIb3B", kind, *letters, operation, size, values, *numbers, offset, mask, *rest)


def stream(packet: bytes, *instructions: bytes, cache: int = 0, group: int = 0, mode: int = 0) -> bytes:
    return struct.pack("<H4B", len(packet), mode, 3, cache, group) + b"".join(instructions) + packet


STREAMS = {
    "count": stream(udp(40), instruction(FLOW_VAR), instruction(WRITE), instruction(FIX_IPV4, offset=14)),
    "down": stream(udp(40), instruction(FLOW_VAR, operation=DEC, numbers=(16, 5, 16, 5)), instruction(WRITE)),
    "random": stream(udp(40), instruction(FLOW_VAR, operation=RANDOM, size=4), instruction(WRITE), cache=5),
    "list": stream(udp(40), instruction(FLOW_VAR, values=4, numbers=(9, 7, 5, 2)), instruction(WRITE)),
    "limit": stream(udp(40), instruction(RAND_LIMIT, numbers=(0, 5, 255, 77)), instruction(WRITE), group=1),
    "tuple": stream(
        udp(40),
        instruction(TUPLE, numbers=(0, 7, 0x1000000310000001, 0x04030401)),
        instruction(WRITE, letters=(IP | 1, 0), offset=26),
        instruction(WRITE, letters=(PORT | 1, 0), offset=34),
        instruction(FIX_HW, offset=14 | 20 << 8),
        group=2,
    ),
    "chain": stream(
        udp(40),
        instruction(FLOW_VAR, letters=(1, 2), size=1),
        instruction(FLOW_VAR, letters=(2, 0), size=1),
        instruction(WRITE),
        instruction(WRITE, letters=(2, 0), offset=47),
        mode=1,
    ),
    "trim": stream(udp(60), instruction(FLOW_VAR, numbers=(64, 64, 100, 7)), instruction(TRIM)),
    "far": stream(udp(40), instruction(FIX_IPV4, offset=0xFFFFFFFF)),
    "far_write": stream(udp(40), instruction(FLOW_VAR), instruction(WRITE, offset=0xFFFFFFFF)),
    "mask": stream(udp(40), instruction(FLOW_VAR), instruction(WRITE_MASK, rest=(4, 2, 1, 0)), mode=2),
}
FRAMES = {"udp": udp(18), "udp_long": udp(41), "udp_checked": udp(31, checksum=7), "tcp": tcp(33), "short": udp(17)}


def main(streams: Path, frames: Path) -> None:
    for folder, files in ((streams, STREAMS), (frames, FRAMES)):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
