# SPDX-License-Identifier: BSD-3-Clause
"""The one place that imports the extension, and the one function that turns its codes into exceptions."""

import errno
import os
from typing import Any

from shoal_dataplane._native import ffi, lib

__all__ = ["DataplaneError", "check", "check_created", "ffi", "last_error", "lib", "put_text", "text"]


class DataplaneError(OSError):
    """A C call failed. `errno` is its code, `strerror` the sentence for the operator."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence

    @property
    def name(self) -> str:
        """The code's name, such as ENOSPC."""
        return errno.errorcode.get(self.code, str(self.code))


def last_error() -> str:
    """The calling thread's last error as a sentence; "" if none."""
    return text(lib.shoal_last_error())


def check(answer: int) -> int:
    """Answers of 0 and above as they are; -errno as an exception."""
    if answer < 0:
        raise DataplaneError(-answer, last_error() or os.strerror(-answer))
    return answer


def check_created(handle: Any) -> Any:
    """A created handle; NULL as an exception."""
    if handle == ffi.NULL:
        code = ffi.errno or errno.EINVAL
        raise DataplaneError(code, last_error() or os.strerror(code))
    return handle


def text(characters: Any) -> str:
    """A C string, or a char array that may lack its terminator."""
    return bytes(ffi.string(characters)).decode("utf-8", "replace")


def put_text(structure: Any, field: str, value: str) -> None:
    """Copies a string into a char array of a structure; refuses one that does not fit with its terminator."""
    data = value.encode()
    room = len(getattr(structure, field)) - 1
    if len(data) > room:
        raise DataplaneError(errno.ENAMETOOLONG, f"{field}: {value!r} is longer than {room} bytes")
    setattr(structure, field, data)
