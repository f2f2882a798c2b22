# SPDX-License-Identifier: BSD-3-Clause
"""What a check found."""

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    GOOD = "good"
    REMARK = "remark"  # slower or less, not wrong
    FAULT = "fault"  # keeps Shoal from working


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str  # "hugepages"
    severity: Severity
    text: str
    remedy: str = ""  # how to mend it


def good(subject: str, text: str) -> Finding:
    return Finding(subject, Severity.GOOD, text)


def remark(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, Severity.REMARK, text, remedy)


def fault(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, Severity.FAULT, text, remedy)
