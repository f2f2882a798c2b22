# SPDX-License-Identifier: BSD-3-Clause
"""The captures of one run of a NAT: what went into and came out of each of its two sides.

A run is a folder of pcap files named by side and direction: `inside-in*.pcap`, `inside-out*.pcap`,
`outside-in*.pcap`, `outside-out*.pcap` ("in" is into the NAT). Several files of one kind, one for each instance for
example, are merged by time. `books.json`, if there
is one, says under "drops" how many frames the NAT dropped, by reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shoal.verify import capture, frame
from shoal.verify.frame import Local, Packet


@dataclass(frozen=True)
class Stream:
    """The packets of one side and direction, in order; frames that no NAT translates are counted by reason."""

    packets: tuple[Packet, ...] = ()
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def frames(self) -> int:
        return len(self.packets) + self.ignored.total()


@dataclass(frozen=True)
class Run:
    """One run. Hairpinned packets (from inside, to a public address) stand in streams of their own."""

    name: str
    outbound_in: Stream
    outbound_out: Stream
    inbound_in: Stream
    inbound_out: Stream
    hairpin_in: Stream
    hairpin_out: Stream
    drops: Mapping[str, int] | None = None
    """What the NAT says it dropped, by reason; None: it says nothing."""

    @property
    def frames_in(self) -> int:
        return self.outbound_in.frames + self.hairpin_in.frames + self.inbound_in.frames

    @property
    def frames_out(self) -> int:
        return self.outbound_out.frames + self.hairpin_out.frames + self.inbound_out.frames


def stream(records: Iterable[capture.Record], local: Local) -> Stream:
    """Parses what was captured."""
    packets = []
    ignored: Counter[str] = Counter()
    for record in records:
        try:
            packets.append(frame.parse(record.frame, record.time_ns, local))
        except frame.FrameError as error:
            ignored[str(error)] += 1
    return Stream(tuple(packets), ignored)


def load(folder: Path, public: frozenset[int] = frozenset()) -> Run:
    """Reads a run's folder. `public` are the NAT's public addresses; if empty, those that what left it shows."""
    kinds = {
        name: sorted(folder.glob(f"{name}*.pcap")) for name in ("inside-in", "inside-out", "outside-in", "outside-out")
    }
    if not kinds["inside-in"] or not kinds["outside-out"]:
        raise capture.CaptureError(f"{folder}: no inside-in*.pcap and outside-out*.pcap, which a run needs")
    outbound_out = stream(capture.read_all(kinds["outside-out"]), Local.SOURCE)
    public = public or frozenset(packet.local.address for packet in outbound_out.packets)
    from_inside = stream(capture.read_all(kinds["inside-in"]), Local.SOURCE)
    to_inside = stream(capture.read_all(kinds["inside-out"]), Local.DESTINATION)
    outbound_in, hairpin_in = _split(from_inside, public)
    inbound_out, hairpin_out = _split(to_inside, public)
    inbound_in = stream(capture.read_all(kinds["outside-in"]), Local.DESTINATION)
    drops = _drops(folder / "books.json")
    return Run(folder.name, outbound_in, outbound_out, inbound_in, inbound_out, hairpin_in, hairpin_out, drops)


def _drops(path: Path) -> Mapping[str, int] | None:
    if not path.exists():
        return None
    try:
        drops = json.loads(path.read_text())["drops"]
        return {str(reason): int(number) for reason, number in drops.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise capture.CaptureError(
            f'{path}: no JSON object with "drops", a number for each reason ({error})'
        ) from error


def _split(whole: Stream, public: frozenset[int]) -> tuple[Stream, Stream]:
    """Ordinary packets, and those whose other end is a public address of the NAT itself."""
    ordinary = tuple(packet for packet in whole.packets if packet.remote.address not in public)
    hairpin = tuple(packet for packet in whole.packets if packet.remote.address in public)
    return Stream(ordinary, whole.ignored), Stream(hairpin)
