# SPDX-License-Identifier: BSD-3-Clause
"""Checks of what comes by RPC, before it is used: whoever speaks may be wrong, or somebody else. Limits are those of
the data plane, or what no sensible deployment comes near to."""

import re
from collections.abc import Mapping, Sized
from typing import Final

from shoal.errors import InvalidRequestError
from shoal_dataplane import MEMBERS_MAX

NAME_MAX: Final = 63
TEXT_MAX: Final = 65536
PATH_MAX: Final = 255
ITEMS_MAX: Final = 256
FILE_MAX: Final = 1 << 20
FILE_NAME_MAX: Final = 4096
STREAMS_MAX: Final = 16 << 20
DEADLINE_MAX_MS: Final = 600_000
TERM_MAX: Final = (1 << 32) - 1  # grows by one with each start of a controller
RING_BYTES: Final = (1 << 16, 1 << 30)
PACKETS: Final = (512, 1 << 24)
OBJECTS: Final = (1, 1 << 27)  # of a class; packets that may wait, too
MICROTHREADS: Final = (1, 1 << 20)
WINDOW_MAX: Final = 65535  # of messages to others
CPU_MAX: Final = 1023
IDLE_POLLS_MAX: Final = 1 << 30
SLEEP_MAX_US: Final = 1_000_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Ends the process, or makes it part of another one.
_EAL_FORBIDDEN: Final = ("--help", "--proc-type")
_EAL_SHORT_FLAGS: Final = "v"


def require_member(value: int) -> int:
    """A member's number."""
    if not 0 <= value < MEMBERS_MAX:
        raise InvalidRequestError(f"there is no member {value}, only 0 to {MEMBERS_MAX - 1}")
    return value


def require_name(what: str, value: str) -> str:
    """The name of an instance, a class, a task: letters, digits, dots, hyphens, underscores."""
    if len(value) > NAME_MAX or not _NAME.fullmatch(value):
        raise InvalidRequestError(f"{what}: {value[:NAME_MAX]!r} is no name")
    return value


def require_term(value: int) -> int:
    return require_between("term", value, 0, TERM_MAX)


def require_ring_bytes(what: str, value: int) -> int:
    """Room of a ring: a power of two."""
    require_between(what, value, *RING_BYTES)
    if value & (value - 1):
        raise InvalidRequestError(f"{what}: {value} is no power of two")
    return value


def require_eal_argument(what: str, value: str) -> str:
    """Any argument of EAL's but those that end a process or join it to another."""
    require_text(what, value, PATH_MAX)
    name = value.partition("=")[0]
    # EAL takes an abbreviation that is clear, and letters behind one another.
    long = len(name) > len("--") and any(forbidden.startswith(name) for forbidden in _EAL_FORBIDDEN)
    short = not value.startswith("--") and value[:1] == "-" and value[1:].lstrip(_EAL_SHORT_FLAGS)[:1] in ("h", "?")
    if long or short:
        raise InvalidRequestError(f"{what}: {value!r} is not for a process of Shoal")
    return value


def require_text(what: str, value: str, most: int = TEXT_MAX) -> str:
    """A text that ends up in a C string."""
    if len(value.encode()) > most:
        raise InvalidRequestError(f"{what} is longer than {most} bytes")
    if "\0" in value:
        raise InvalidRequestError(f"{what} contains a NUL")
    return value


def require_path(what: str, value: str) -> str:
    """An absolute path without detours."""
    require_text(what, value, PATH_MAX)
    if not value.startswith("/") or ".." in value.split("/"):
        raise InvalidRequestError(f"{what}: {value!r} is no absolute path")
    return value


def require_length(what: str, value: bytes, length: int) -> bytes:
    """A map or a set of bits: exactly so long."""
    if len(value) != length:
        raise InvalidRequestError(f"{what} has {length} bytes, not {len(value)}")
    return value


def require_at_most(what: str, values: Sized, most: int = ITEMS_MAX) -> None:
    """A list that somebody else made."""
    if len(values) > most:
        raise InvalidRequestError(f"{what}: {len(values)} are too many, at most {most}")


def require_between(what: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise InvalidRequestError(f"{what} is {least} to {most}, not {value}")
    return value


def check_options(options: Mapping[str, str]) -> None:
    """Of a run of traffic, by name."""
    require_at_most("options", options)
    for name, value in options.items():
        require_text("the name of an option", name, NAME_MAX)
        require_text(f"option {name}", value, PATH_MAX)
