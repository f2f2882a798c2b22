# SPDX-License-Identifier: BSD-3-Clause
"""What the checker found, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

SHOWN_MAX = 20


class Fault(Enum):
    """What can be wrong. The value stands in JSON and in the text."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    CORRUPTED = "corrupted"
    UNEXPECTED = "unexpected"
    CHECKSUM = "checksum"
    TIME_TO_LIVE = "time_to_live"
    MAPPING_CHANGED = "mapping_changed"
    ENDPOINT_SHARED = "endpoint_shared"
    ADDRESS_NOT_PAIRED = "address_not_paired"
    ADDRESS_NOT_PUBLIC = "address_not_public"
    MISDELIVERED = "misdelivered"
    INPUTS_DIFFER = "inputs_differ"
    OUTPUTS_DIFFER = "outputs_differ"
    DROPS_DIFFER = "drops_differ"
    BOOKS = "books"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, as a sentence that names the packets concerned."""

    fault: Fault
    text: str
    packets: int = 1
    """How many packets it is about, for the counts."""


@dataclass
class Report:
    """All findings of one check. Good if there are none beyond the packets that may be lost."""

    checked: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    loss_allowed: int = 0

    def add(self, fault: Fault, text: str, packets: int = 1) -> None:
        """None where it is about no packet."""
        if packets:
            self.findings.append(Finding(fault, text, packets))

    @property
    def counts(self) -> Counter[Fault]:
        counts: Counter[Fault] = Counter()
        for finding in self.findings:
            counts[finding.fault] += finding.packets
        return counts

    @property
    def good(self) -> bool:
        counts = self.counts
        lost = counts.pop(Fault.LOST, 0)
        return not counts and lost <= self.loss_allowed

    def to_json(self) -> str:
        document = {
            "verdict": "good" if self.good else "bad",
            "checked": self.checked,
            "loss_allowed": self.loss_allowed,
            "counts": {fault.value: self.counts[fault] for fault in Fault},
            "findings": [{"fault": finding.fault.value, "text": finding.text} for finding in self._shown()],
        }
        return json.dumps(document, indent=2)

    def to_text(self) -> str:
        lines = [f"{name.replace('_', ' ')}: {number}" for name, number in self.checked.items()]
        lines += [f"{finding.fault.value}: {finding.text}" for finding in self._shown()]
        hidden = len(self.findings) - len(self._shown())
        if hidden:
            lines.append(f"… and {hidden} more")
        faults = ", ".join(f"{number} {fault.value}" for fault, number in sorted(self.counts.items(), key=str))
        lines.append(f"verdict: {'good' if self.good else 'BAD'}{f' ({faults})' if faults else ''}")
        return "\n".join(lines)

    def _shown(self) -> list[Finding]:
        """The first findings of each fault, so that many of one do not hide another."""
        seen: Counter[Fault] = Counter()
        shown = []
        for finding in self.findings:
            seen[finding.fault] += 1
            if seen[finding.fault] <= SHOWN_MAX:
                shown.append(finding)
        return shown
