# SPDX-License-Identifier: BSD-3-Clause
"""The trial's process (trial.py): reads a network function's path, the places of its functions and its settings; writes
what it refuses. It needs nothing but Python's own library, and starts in no time."""

import ctypes
import json
import os
import sys
from typing import Any, Final

SENTENCE_BYTES: Final = 256


def function(start: int, offset: int, result: Any, *arguments: Any) -> Any:
    address = ctypes.c_void_p.from_address(start + offset).value
    return ctypes.CFUNCTYPE(result, *arguments)(address or 0)


def refused(path: str, offsets: dict[str, int], settings: dict[str, str]) -> dict[str, str]:
    library = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    start = ctypes.addressof(ctypes.c_char.in_dll(library, "shoal_nf"))
    handle, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    create = function(start, offsets["create"], handle)
    configure = function(start, offsets["configure"], ctypes.c_int, handle, text, text, text, size)
    init = function(start, offsets["init"], ctypes.c_int, handle, text, size)
    destroy = function(start, offsets["destroy"], None, handle)
    state = create()
    if not state:
        raise MemoryError("it has no memory")
    found: dict[str, str] = {}
    sentence = ctypes.create_string_buffer(SENTENCE_BYTES)
    for name, value in settings.items():
        code = configure(state, name.encode(), value.encode(), sentence, SENTENCE_BYTES)
        if code:
            found[name] = sentence.value.decode(errors="replace") or os.strerror(-code)
    sentence.value = b""
    code = init(state, sentence, SENTENCE_BYTES)
    if code:
        found[""] = sentence.value.decode(errors="replace") or os.strerror(-code)
    destroy(state)
    return found


if __name__ == "__main__":
    request = json.load(sys.stdin)
    json.dump(refused(request["path"], request["offsets"], request["settings"]), sys.stdout)
