# SPDX-License-Identifier: BSD-3-Clause
"""Sends an equivalence run's frames at a steady rate: `client.py LINK FOLDER COUNT SEED RATE`.

Prints {"sent": N} for every hundredth of them, at the end {"done": N}; writes the captures when its standard input
ends.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.equivalence import frames
from tests.equivalence.wire import Wire

QUIET_S = 1.0


def main(link: str, folder: Path, count: int, seed: int, rate: float) -> None:
    wire = Wire(link)
    print(json.dumps({"ready": 0}), flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    for number, frame in enumerate(frames.made(count, seed)):
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
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
