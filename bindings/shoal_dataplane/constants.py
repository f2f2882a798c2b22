# SPDX-License-Identifier: BSD-3-Clause
"""Constants that both languages need: defined in shoal/types.h, read here."""

from typing import Final

from shoal_dataplane.door import lib

MEMBERS_MAX: Final[int] = lib.SHOAL_MEMBERS_MAX
MEMBER_NONE: Final[int] = lib.SHOAL_MEMBER_NONE
SLOTS: Final[int] = lib.SHOAL_SLOTS
STEERING_SLOTS: Final[int] = lib.SHOAL_STEERING_SLOTS
SLOTS_PER_STEERING: Final[int] = lib.SHOAL_SLOTS_PER_STEERING
NF_PORTS_MAX: Final[int] = lib.SHOAL_NF_PORTS_MAX
CLASSES_MAX: Final[int] = lib.SHOAL_CLASSES_MAX
KEY_BYTES_MAX: Final[int] = lib.SHOAL_KEY_BYTES_MAX
REMOTE_ADDRESS_BYTES: Final[int] = lib.SHOAL_REMOTE_ADDRESS_BYTES
OBJECT_BYTES_MAX: Final[int] = lib.SHOAL_OBJECT_BYTES_MAX
