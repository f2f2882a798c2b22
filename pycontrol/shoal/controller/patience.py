# SPDX-License-Identifier: BSD-3-Clause
"""How long to wait before a process that has ended is started anew: not at all, unless it ends again and again."""

from typing import Final

SHORT_S: Final = 5.0
AT_ONCE: Final = 3  # short lives in a row, after each of which the next one starts at once
FIRST_S: Final = 0.5
LONGEST_S: Final = 5.0


class Patience:
    """Of one process that is kept running."""

    def __init__(self) -> None:
        self._short_lives = 0

    def pause_s(self, lived_s: float) -> float:
        """Before the next one. `lived_s`: how long this one was of use; 0: it could not be started."""
        if lived_s >= SHORT_S:
            self._short_lives = 0
            return 0.0
        self._short_lives += 1
        doublings = self._short_lives - AT_ONCE - 1
        return min(LONGEST_S, FIRST_S * 2.0 ** min(doublings, 16)) if doublings >= 0 else 0.0
