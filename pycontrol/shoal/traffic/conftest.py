# SPDX-License-Identifier: BSD-3-Clause
"""Compiled streams for the tests, made by hand."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

MakeStream = Callable[..., dict[str, Any]]
MakeDocument = Callable[..., bytes]


def udp_frame(payload: int = 60) -> bytes:
    """From 16.0.0.1:1024 to 48.0.0.1:5000, without checksums."""
    udp = struct.pack("!HHHH", 1024, 5000, 8 + payload, 0) + bytes(payload)
    head = struct.pack("!BBHHHBBH4B4B", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, 16, 0, 0, 1, 48, 0, 0, 1)
    return bytes(12) + b"\x08\x00" + head + udp


@pytest.fixture
def make_stream() -> MakeStream:
    """A compiled stream as TRex's client writes it, with changes."""

    def make(**changes: Any) -> dict[str, Any]:
        stream: dict[str, Any] = {
            "flags": 3,
            "action_count": 0,
            "enabled": True,
            "self_start": True,
            "start_paused": False,
            "isg": 0.0,
            "core_id": -1,
            "random_seed": 1,
            "mode": {"rate": {"type": "pps", "value": 1000}, "type": "continuous"},
            "packet": {"binary": base64.b64encode(udp_frame()).decode(), "meta": ""},
            "vm": {"instructions": []},
            "flow_stats": {"enabled": False},
            "next_stream_id": -1,
        }
        return stream | changes

    return make


@pytest.fixture
def make_document() -> MakeDocument:
    """A document of streams at NF port 0, or of ports as given."""

    def make(*streams: dict[str, Any], **changes: Any) -> bytes:
        port = {
            "nf_port": 0,
            "direction": 0,
            "source_mac": "02:00:00:00:00:01",
            "destination_mac": "02:00:00:00:00:02",
            "streams": list(streams),
        }
        document = {
            "format": "shoal-streams",
            "version": 1,
            "profile": "made.py",
            "tunables": [],
            "client": "none",
            "link_bps": 0,
            "ports": [port],
        }
        return json.dumps(document | changes).encode()

    return make
