# SPDX-License-Identifier: BSD-3-Clause
"""Answers what comes, as frames.answer says: `server.py LINK FOLDER [SERVER]`. Prints {"ready"}; writes its captures
when its standard input ends, and then {"written"}."""

from __future__ import annotations

import json
import select
import sys
from ipaddress import IPv4Address
from pathlib import Path

from tests.equivalence import frames
from tests.equivalence.wire import Wire


def main(link: str, folder: Path, server: int) -> None:
    wire = Wire(link, server)
    print(json.dumps({"ready": 0}), flush=True)
    while True:
        readable, _, _ = select.select([wire.socket, sys.stdin], [], [])
        if sys.stdin in readable:
            break
        while (frame := wire.receive(0)) is not None:
            said = frames.answer(frame)
            if said is not None:
                wire.send(said)
    wire.write(folder, "outside")
    print(json.dumps({"written": len(wire.received)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(IPv4Address(sys.argv[3])) if len(sys.argv) > 3 else frames.SERVER)
