# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seed corpora of the targets `tcp_frame` and `ring`: python3 tests/fuzz/make_transport_corpus.py"""

from __future__ import annotations

import struct
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
CAPACITY = 4096
RUN, RECORD, SKIP = 0x7A11, 0x5EC0, 0x5C1B  # SHOAL_RING_KIND_*
FRAME_BYTES_MAX = 20480


def frames(*lengths: int, first: int = 0) -> bytes:
    """A stream of frames as channel/tcp_frame.h puts it."""
    parts = []
    for number, length in enumerate(lengths, first):
        parts.append(struct.pack("<II", length, number) + bytes([number + 1]) * length + bytes(-length % 8))
    return b"".join(parts)


def hello(refusal: int = 0, version: int = 1) -> bytes:
    """A hello as channel/tcp_hello.h puts it."""
    return struct.pack("<8sIIQQQHHI", b"ShoalTCP", version, refusal, 1, 7, 2, 4, 3, 0)


def records(*lengths: int) -> bytes:
    """Records of a run."""
    return b"".join(struct.pack("<II", length, RECORD) + bytes(length + -length % 8) for length in lengths)


def run(content: bytes, lap: int = 0) -> bytes:
    """What one flush makes visible."""
    return struct.pack("<IHH", 8 + len(content), lap, RUN) + content


def ring(tail: int, head: int, content: bytes) -> bytes:
    return struct.pack("<QQ", tail, head) + content.ljust(CAPACITY, b"\0")


def wrapped() -> bytes:
    """The first record of a run lies before a skip, the second at the ring's start."""
    content = bytearray(records(200).ljust(CAPACITY, b"\0"))
    at = CAPACITY - 64
    content[at : at + 32] = struct.pack("<IHH", 64 + 208, 0, RUN) + records(16)
    content[at + 32 : at + 40] = struct.pack("<II", CAPACITY - at - 32 - 8, SKIP)
    return ring(CAPACITY + 208, at, bytes(content))


def within() -> bytes:
    """The consumer begins after the first record of the first of two runs."""
    content = run(records(8, 16, 24)) + run(records(0, 40))
    return ring(len(content), 24, content)


TCP_FRAME = {
    "frames": b"\x00" + frames(1, 8, 9, 300),
    "heartbeats": b"\x01" + frames(0, 0, 5, 0, 7),
    "longest": b"\xff" + frames(FRAME_BYTES_MAX),
    "too_long": b"\x02" + frames(4) + struct.pack("<II", FRAME_BYTES_MAX + 1, 1),
    "number": b"\x03" + frames(4) + frames(4, first=5),
    "cut": b"\x00" + frames(64, 64)[:-9],
    "hello": b"\x01" + hello(),
    "refusal": b"\x01" + hello(refusal=99, version=3) + frames(3),
}

RING = {
    "records": ring(len(run(records(0, 1, 64, 1024))), 0, run(records(0, 1, 64, 1024))),
    "empty": ring(0, 0, b""),
    "wrapped": wrapped(),
    "within": within(),
    "full": ring(CAPACITY - 56, 0, run(records(*[56] * 63))),
    "behind_tail": ring(0, 0, run(records(64))),
    "beyond_run": ring(24, 0, struct.pack("<IHH", 24, 0, RUN) + records(64)),
    "too_long": ring(CAPACITY - 8, 0, run(struct.pack("<II", 1025, RECORD) + bytes(1032))),
    "skip_at_start": ring(CAPACITY - 8, 0, run(struct.pack("<II", CAPACITY - 16, SKIP))),
    "other_lap": ring(80, 0, run(records(64), lap=1)),
    "odd_tail": ring(12, 0, run(records(64))),
    "high": ring(2**64 - 8, 2**64 - 4096, run(records(*[56] * 63), lap=0xFFFF)),
}


def main() -> None:
    for target, inputs in (("tcp_frame", TCP_FRAME), ("ring", RING)):
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, content in inputs.items():
            (CORPUS / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
