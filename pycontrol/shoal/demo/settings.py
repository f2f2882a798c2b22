# SPDX-License-Identifier: BSD-3-Clause
"""What a demo is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

STEPS: Final = (1, 2, 3, 1)
"""Numbers of instances, one after the other."""

OBJECTS_LEAST: Final = 262_144
SECONDS_MORE: Final = 10.0
"""That the finding of the rate and the events take beside the phases."""


@dataclass(frozen=True)
class DemoSettings:
    """Durations in seconds, rates a second."""

    phase_s: float = 12.0
    packets_per_second: int = 100_000
    flows: int = 10_000
    new_flows_per_second: int = 1_000
    json: Path | None = None
    picture: Path | None = Path("demo-report.png")
    directory: Path | None = None
    """Where the deployment's run directory is made; None: a temporary one, which is gone at the end."""

    @property
    def objects(self) -> int:
        """Room for objects of each class in each instance: the last has to hold the mapping of every flow."""
        made = self.new_flows_per_second * (self.phase_s * len(STEPS) + SECONDS_MORE)
        return max(OBJECTS_LEAST, self.flows + int(made))
