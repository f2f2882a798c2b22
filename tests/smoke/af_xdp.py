# SPDX-License-Identifier: BSD-3-Clause
"""Whether AF_XDP ports can work on this machine: asked of the kernel itself, so that a fault of ours is never taken for
a kernel that lacks it."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
from pathlib import Path

AF_XDP = 44
MAP_CREATE, MAP_TYPE_XSKMAP = 0, 17
BPF_CALL = {"x86_64": 321, "aarch64": 280}
DRIVERS = ("/usr/lib/*/dpdk/pmds-*", "/usr/local/lib/*/dpdk/pmds-*", "/usr/lib64/dpdk-pmds")


def _socket_refused() -> str:
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW, 0).close()
    except OSError as error:
        return f"the kernel makes no AF_XDP sockets: {error.strerror}"
    return ""


def _map_refused() -> str:
    """The map by which a device's XDP program gives packets to a socket."""
    number = BPF_CALL.get(platform.machine())
    if number is None:
        return f"the number of the system call bpf is not known for {platform.machine()}"
    attributes = struct.pack("=5I", MAP_TYPE_XSKMAP, 4, 4, 1, 0).ljust(128, b"\0")
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.syscall(number, MAP_CREATE, attributes, len(attributes))
    if descriptor < 0:
        return f"the kernel makes no map for AF_XDP sockets: {os.strerror(ctypes.get_errno())}"
    os.close(descriptor)
    return ""


def _driver_missing() -> str:
    root = Path("/")
    found = any(list(root.glob(f"{folder[1:]}/librte_net_af_xdp.so*")) for folder in DRIVERS)
    return "" if found else "DPDK's driver net_af_xdp is not installed"


def missing() -> str:
    """Why AF_XDP can't work here; empty where it can."""
    return _driver_missing() or _socket_refused() or _map_refused()
