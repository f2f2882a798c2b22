# SPDX-License-Identifier: BSD-3-Clause
"""Sends an equivalence run's frames at a steady rate: `client.py LINK FOLDER COUNT SEED RATE [FIRST_CLIENT SERVER]`.

Prints {"sent": N} for every hundredth of them, at the end {"done": N}; writes the captures when its standard input
ends.
"""

from __future__ import annotations

import json
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

from tests.equivalence import frames
from tests.equivalence.wire import Wire

QUIET_S = 1.0


def main(link: str, folder: Path, count: int, seed: int, rate: float, ends: tuple[int, int]) -> None:
    first_client, server = ends
    wire = Wire(link, server)
    print(json.dumps({"ready": 0}), flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    for number, frame in enumerate(frames.made(count, seed, first_client, server)):
        due = began + number / rate
        while (left := due - time.monotonic()) > 0:
            wire.receive(left)
        wire.send(frame)
        if number % (count // 100) == 0:
            print(json.dumps({"sent": number}), flush=True)
    while wire.receive(QUIET_S) is not None:
        pass
    print(json.dumps({"done": count}), flush=True)
    sys.stdin.read()
    wire.write(folder, "inside")
    print(json.dumps({"written": count}), flush=True)


if __name__ == "__main__":
    given = tuple(int(IPv4Address(address)) for address in sys.argv[6:8])
    both = (given[0], given[1]) if given else (frames.FIRST_CLIENT, frames.SERVER)
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), both)
