# SPDX-License-Identifier: BSD-3-Clause
"""The pair of rings through which two members of one host exchange messages."""

from shoal_dataplane.door import check, lib


def create_ring_pair(capacity: int) -> int:
    """Makes a sealed memfd with two empty rings of `capacity` bytes (a power of two), the caller owns it."""
    return check(lib.shoal_ring_pair_create(capacity))
