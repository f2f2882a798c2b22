# SPDX-License-Identifier: BSD-3-Clause
"""Frames on a link, each way, with everything that passes kept for a capture."""

from __future__ import annotations

import errno
import socket
import struct
import time
from pathlib import Path

from shoal.verify import capture

ETH_P_IP = 0x0800
PACKET_OUTGOING = 4
PACKET_IGNORE_OUTGOING = 23
BUFFER_BYTES = 64 << 20
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_STATISTICS = 6
SOURCE, DESTINATION = slice(26, 30), slice(30, 34)  # of an IPv4 packet in a frame


class Wire:
    """A link's raw socket, for what concerns one server. `sent` and `received` grow; times are monotonic."""

    def __init__(self, link: str, server: int) -> None:
        self._server = server.to_bytes(4, "big")
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self.socket.bind((link, ETH_P_IP))
        self.sent: list[capture.Record] = []
        self.received: list[capture.Record] = []

    def send(self, frame: bytes) -> None:
        """Where the link takes none, as while its other end is down, it is as if it had not been sent."""
        record = capture.Record(time.monotonic_ns(), frame)
        try:
            self.socket.send(frame)
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.ENETDOWN):
                raise
        else:
            self.sent.append(record)

    def receive(self, timeout_s: float) -> bytes | None:
        """The next frame; None: none came in time."""
        until = time.monotonic() + timeout_s
        while True:
            self.socket.settimeout(max(0.0, until - time.monotonic()))
            try:
                frame = self.socket.recv(65536)
            except (TimeoutError, BlockingIOError):
                return None
            if self._server in (frame[SOURCE], frame[DESTINATION]):
                self.received.append(capture.Record(time.monotonic_ns(), frame))
                return frame

    def missed(self) -> int:
        """Frames that the kernel could not keep for us since the last call."""
        _, drops = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return int(drops)

    def write(self, folder: Path, side: str) -> None:
        """Two captures, as `shoal verify` wants them: what went into the NAT at this side, and what came out."""
        if missed := self.missed():
            raise RuntimeError(f"{side}: {missed} frames were missed by the capture itself")
        capture.write(folder / f"{side}-in.pcap", self.sent)
        capture.write(folder / f"{side}-out.pcap", self.received)
