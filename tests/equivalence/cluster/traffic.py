# SPDX-License-Identifier: BSD-3-Clause
"""The input of a run: what hosts send by themselves, and what comes from outside unasked (feed.h says how it is sent;
the servers answer by the rules of servers.h).

Four phases, 200, 1200 and 8000 seconds apart. What each kind of mapping makes of such a silence (nfs/nat/README.md) is
beyond doubt: ICMP and closed connections end in the first, UDP and half-closed connections in the second, established
connections in the third.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shoal.verify import capture
from tests.equivalence.cluster import frames
from tests.equivalence.cluster.frames import End, Flag, end

PHASES_S = (0, 200, 1400, 9400)
PUBLIC = tuple(f"198.18.0.{last}" for last in range(1, 5))
INSIDE, OUTSIDE = 0, 1
PORT_SILENT, PORT_REFUSES, PORT_RESETS, PORT_STAYS_OPEN, PORT_EXCEEDED, PORT_UNREACHABLE = 9, 81, 82, 83, 7001, 7002

Step = tuple[int, bytes]
"""The port at which a frame enters, and the frame."""
Script = Iterator[Step | None]
"""Frames in their order; None: the rest belongs to the next phase."""


@dataclass
class Traffic:
    """Builds and holds the input; everything follows from the seed."""

    seed: int
    drops: Counter[str] = field(default_factory=Counter)
    """What the NAT must drop of it, by reason."""
    packets: tuple[list[capture.Record], list[capture.Record]] = field(default_factory=lambda: ([], []))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._number = 0
        self._server = 0

    # --- Names ---

    def number(self) -> int:
        """Of the next datagram: nothing else in the run has it."""
        self._number += 1
        assert self._number < 0x4000
        return self._number

    def host(self) -> str:
        return f"16.{self.random.randrange(4)}.0.{self.random.randrange(1, 31)}"

    def client(self) -> End:
        """An inside endpoint that nothing else uses, as good as surely."""
        return end(self.host(), self.random.randrange(1024, 65536))

    def server(self, port: int) -> End:
        """A server that nobody else talks to."""
        self._server += 1
        return End((48 << 24) + self._server, port)

    def payload(self, least: int = 8, most: int = 64) -> bytes:
        return self.random.randbytes(self.random.randrange(least, most))

    # --- Frames ---

    def udp(self, source: End, destination: End, check: int | None = None) -> bytes:
        segment = frames.udp(source, destination, self.payload(), check=check)
        return frames.ethernet(frames.ipv4(source.address, destination.address, frames.UDP, segment, self.number()))

    def tcp(self, source: End, destination: End, flags: Flag = Flag.ACK, payload: bytes | None = None) -> bytes:
        bare = flags & (Flag.SYN | Flag.FIN | Flag.RST)
        content = payload if payload is not None else b"" if bare else self.payload(0, 200)
        segment = frames.tcp(source, destination, content, flags, self.random.randrange(1 << 32))
        return frames.ethernet(frames.ipv4(source.address, destination.address, frames.TCP, segment, self.number()))

    def query(self, source: End, destination: End, kind: int) -> bytes:
        """`source.port`, or for one from outside `destination.port`, is the identifier."""
        identifier = source.port or destination.port
        message = frames.query(kind, identifier, self.random.randrange(65536), self.payload())
        return frames.ethernet(frames.ipv4(source.address, destination.address, frames.ICMP, message, self.number()))

    def error(self, source: int, about: bytes, *, right: bool = True) -> bytes:
        """An ICMP error from `source` to whoever sent the packet that lies in the frame `about`."""
        quoted = about[14 : 14 + self.random.choice((28, 48, 548))]
        message = frames.icmp(3, self.random.choice((1, 3)), b"\0" * 4, quoted)
        if not right:
            message = message[:2] + bytes((message[2] ^ 1,)) + message[3:]
        destination = int.from_bytes(about[26:30], "big")
        return frames.ethernet(frames.ipv4(source, destination, frames.ICMP, message, self.number()))

    # --- All of it ---

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, records in zip(("inside", "outside"), self.packets, strict=True):
            capture.write(folder / f"{name}.pcap", records)

    def weave(self, scripts: list[Script]) -> None:
        """Mixes the scripts at random, each in its order, phase by phase."""
        for seconds in PHASES_S:
            live, waiting = list(scripts), []
            time_ns = seconds * 10**9
            while live:
                place = self.random.randrange(len(live))
                try:
                    step = next(live[place])
                except StopIteration:
                    live.pop(place)
                    continue
                if step is None:
                    waiting.append(live.pop(place))
                    continue
                time_ns += 1000
                self.packets[step[0]].append(capture.Record(time_ns, step[1]))
            scripts = waiting
        assert not scripts, "a script goes on after the last phase"

    @property
    def count(self) -> int:
        return len(self.packets[INSIDE]) + len(self.packets[OUTSIDE])


Maker = Callable[[Traffic], Script]


def make(seed: int, scripts: dict[Maker, int]) -> Traffic:
    """Traffic of so many scripts of each kind."""
    traffic = Traffic(seed)
    traffic.weave([script(traffic) for script, number in scripts.items() for _ in range(number)])
    return traffic
