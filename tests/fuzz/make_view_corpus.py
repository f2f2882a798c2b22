# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seed corpus of the target `view`: python3 tests/fuzz/make_view_corpus.py"""

from __future__ import annotations

import struct
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus") / "view"
HANDLE_HELD, HANDLE_REMOVING = 2, 3
RECORD_FREE, RECORD_LEASED, RECORD_SHARED = 1, 2, 5
MAILED = 4
DEATH = bytes(64 + 16 + 16 + 16 + 64)
IMAGE = bytes(16 + 512)
ENTRIES = 8  # of each class


def entry(key: int, *, handle: int = 0, flags: int = 0, record: int = 0, holder: int = 1, references: int = 0) -> bytes:
    """One entry with a key and an object of 24 bytes, its lease and its timer, as object/entry.h has them."""
    hot = struct.pack("<BBBBHHII", handle, flags, record, holder, references, 0, 0, 0)
    return hot + struct.pack("<Q", key) + bytes([key | 1] * 24) + struct.pack("<QIII", 1, 3, 9, 0) + bytes(12)


def whole(*accounts: bytes, how: bytes = b"\1\1\0\0", counters: tuple[bytes, ...] = ()) -> bytes:
    gap = bytes(len(entry(0)))
    lists = [[*each, *[gap] * (ENTRIES - len(each))] for each in (accounts, counters)]
    return how + DEATH + IMAGE + b"".join(each for chosen in lists for each in chosen)


SEEDS = {
    "held": whole(entry(2, handle=HANDLE_HELD), entry(4, handle=HANDLE_HELD, record=RECORD_LEASED)),
    "in_doubt": whole(entry(2, handle=HANDLE_HELD, references=1), entry(3, handle=HANDLE_HELD, references=2)),
    "free_and_shared": whole(entry(2, record=RECORD_FREE), counters=(entry(6, record=RECORD_SHARED),)),
    "mailed": whole(entry(2, flags=MAILED), entry(8, flags=MAILED, record=RECORD_LEASED, holder=0)),
    "removing": whole(entry(2, handle=HANDLE_REMOVING)),
    "twice": whole(entry(2, handle=HANDLE_HELD), entry(2, handle=HANDLE_HELD)),
    "odd_states": whole(entry(2, handle=200, record=99, flags=255), counters=(entry(2, handle=HANDLE_HELD),)),
    "no_image": whole(entry(2, handle=HANDLE_HELD), how=b"\1\0\0\0"),
    "no_death": whole(entry(2, handle=HANDLE_HELD), how=b"\0\1\0\0"),
    "image_cut": whole(entry(2, handle=HANDLE_HELD), how=b"\1\1\x81\0"),
    "slab_cut": whole(entry(2, handle=HANDLE_HELD), how=b"\1\1\0\x81"),
    "short": b"\1\1",
}


def main() -> None:
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, content in SEEDS.items():
        (CORPUS / name).write_bytes(content)


if __name__ == "__main__":
    main()
