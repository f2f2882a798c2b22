# SPDX-License-Identifier: BSD-3-Clause
"""The file that the tests download: made as it is sent, different in every block, the same in every run."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

BLOCK_BYTES = 1 << 20
SEED = 20240229


def blocks(length: int) -> Iterator[bytes]:
    """The file's bytes. Each block has its number in it, so that none can stand for another."""
    filling = random.Random(SEED).randbytes(BLOCK_BYTES - 8)
    for number in range((length + BLOCK_BYTES - 1) // BLOCK_BYTES):
        yield (number.to_bytes(8, "big") + filling)[: length - number * BLOCK_BYTES]


def digest(length: int) -> str:
    """SHA-256 of the file."""
    hashed = hashlib.sha256()
    for block in blocks(length):
        hashed.update(block)
    return hashed.hexdigest()
