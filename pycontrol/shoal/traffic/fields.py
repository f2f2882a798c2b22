# SPDX-License-Identifier: BSD-3-Clause
"""Typed access to one JSON object, whose faults say where they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

Choice = TypeVar("Choice")


class StreamsError(ValueError):
    """A document that is not as it should be; the text names stream and field."""


class _Required:
    """Default of a field that must be there."""


REQUIRED: Any = _Required()


@dataclass(frozen=True, slots=True)
class Reader:
    """One JSON object, and where it stands ("port 0, stream 3")."""

    values: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, value: Any, where: str) -> Self:
        if not isinstance(value, dict):
            raise StreamsError(f"{where}: an object is expected" if where else "an object is expected")
        return cls(value, where)

    def fault(self, key: str, reason: str) -> StreamsError:
        return StreamsError(f"{self.where}, {key}: {reason}" if self.where else f"{key}: {reason}")

    def _get(self, key: str, default: Any) -> Any:
        if key not in self.values or (self.values[key] is None and default is not REQUIRED):
            if default is REQUIRED:
                raise self.fault(key, "is missing")
            return default
        return self.values[key]

    def text(self, key: str, default: Any = REQUIRED) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or "\0" in value:
            raise self.fault(key, f"text is expected, not {value!r}")
        return value

    def texts(self, key: str) -> list[str]:
        value = self._get(key, REQUIRED)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.fault(key, "a list of texts is expected")
        return value

    def boolean(self, key: str, default: Any = REQUIRED) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, f"true or false is expected, not {value!r}")
        return value

    def integer(self, key: str, *, least: int = 0, most: int = (1 << 64) - 1, default: Any = REQUIRED) -> int:
        value = self._get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fault(key, f"a whole number is expected, not {value!r}")
        if not least <= value <= most:
            raise self.fault(key, f"{value} is outside of {least} to {most}")
        return value

    def number(self, key: str, default: Any = REQUIRED) -> float:
        """Not negative, and finite."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fault(key, f"a number is expected, not {value!r}")
        if not (value >= 0 and math.isfinite(value)):
            raise self.fault(key, f"{value} is not a finite number of 0 or more")
        return float(value)

    def choice(self, key: str, choices: Mapping[str, Choice], default: Any = REQUIRED) -> Choice:
        value = self.text(key, default)
        if value not in choices:
            raise self.fault(key, f"{value!r} is none of {', '.join(choices)}")
        return choices[value]

    def reader(self, key: str) -> Reader:
        return Reader.of(self._get(key, REQUIRED), f"{self.where}, {key}" if self.where else key)

    def readers(self, key: str, where: Callable[[int], str] | None = None) -> list[Reader]:
        value = self._get(key, REQUIRED)
        if not isinstance(value, list):
            raise self.fault(key, "a list is expected")
        named = where or (lambda index: f"{key} {index}")
        return [Reader.of(each, named(index)) for index, each in enumerate(value)]
