# SPDX-License-Identifier: BSD-3-Clause
"""The control plane's exceptions. `rpc_status` maps them to gRPC statuses and back."""

from collections.abc import Sequence
from dataclasses import dataclass


class ShoalError(Exception):
    """Whatever an operator can be told in one sentence."""


@dataclass(frozen=True, slots=True)
class ConfigFault:
    file: str
    line: int  # from 1; 0: the whole file
    column: int
    field: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field}: {self.reason}" if self.field else f"{place}: {self.reason}"


class ConfigError(ShoalError):
    """A configuration file is refused as a whole."""

    def __init__(self, faults: Sequence[ConfigFault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class InvalidRequestError(ShoalError):
    """The request itself can't be right."""


class NotFoundError(ShoalError):
    """It names what does not exist."""


class RefusedError(ShoalError):
    """Not now: the state of the cluster forbids it."""


class NoRoomError(ShoalError):
    """A limit would be passed; the sentence has the numbers."""


class StaleTermError(ShoalError):
    """A controller whose reign is over, or a command meant for another life."""

    def __init__(self, term: int, known: int) -> None:
        super().__init__(f"term {term} is over: term {known} is known here")
        self.term = term
        self.known = known


class UnreachableError(ShoalError):
    """A process that should answer does not."""


class EndedBySignalError(ShoalError):
    """A signal ended the work, and what had been begun has been undone."""

    def __init__(self, number: int) -> None:
        super().__init__("ended early; everything that was started is gone")
        self.number = number


class DeadlineError(ShoalError):
    """Something did not happen in time."""
