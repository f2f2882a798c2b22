# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seed corpus of the NAT's fuzz target: the parser's IPv4 frames, each in both directions, with right
checksums and with those that they came with.

python3 tests/fuzz/make_nat_corpus.py tests/fuzz/corpus/parse tests/fuzz/corpus/nat
"""

from __future__ import annotations

import sys
from pathlib import Path

# Where nat_fuzz.c looks: the new endpoint in the destination MAC, direction and checksums in the source MAC.
ENDPOINT = bytes([198, 51, 100, 7, 0x9C, 0x41])
CHOICES = {"out": 0, "in": 1, "out_right": 2, "in_right": 3}


def main(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    frames = [*sorted(source.glob("ipv4_*")), source / "padded", source / "qinq", source / "vlan"]
    for path in frames:
        frame = path.read_bytes()
        for name, choice in CHOICES.items():
            (target / f"{path.name}_{name}").write_bytes(ENDPOINT + bytes([choice]) + frame[7:])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
