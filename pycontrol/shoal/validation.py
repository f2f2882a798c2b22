# SPDX-License-Identifier: BSD-3-Clause
"""Checks of what comes by RPC, before it is used: whoever speaks may be wrong, or somebody else. Limits are those of
the data plane, or what no sensible deployment comes near to."""

import re
from collections.abc import Sized
from typing import Final

from shoal.errors import InvalidRequestError
from shoal_dataplane import MEMBERS_MAX

NAME_MAX: Final = 63
TEXT_MAX: Final = 65536
PATH_MAX: Final = 255
ITEMS_MAX: Final = 256
FILE_MAX: Final = 1 << 20
STREAMS_MAX: Final = 16 << 20
DEADLINE_MAX_MS: Final = 600_000
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")


def require_member(value: int) -> int:
    """A member's number."""
    if not 0 <= value < MEMBERS_MAX:
        raise InvalidRequestError(f"there is no member {value}, only 0 to {MEMBERS_MAX - 1}")
    return value


def require_name(what: str, value: str) -> str:
    """The name of an instance, a class, a task: letters, digits, dots, hyphens, underscores."""
    if len(value) > NAME_MAX or not _NAME.match(value):
        raise InvalidRequestError(f"{what}: {value[:NAME_MAX]!r} is no name")
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
