# SPDX-License-Identifier: BSD-3-Clause
"""What all handles have in common: an owner that closes them once."""

from types import TracebackType
from typing import Any, Self

from shoal_dataplane.door import ffi


class Handle:
    """Owns one C object. close() may be called any number of times; a closed handle refuses further use."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer

    @property
    def pointer(self) -> Any:
        """The C object, borrowed. ValueError once closed."""
        if self._pointer == ffi.NULL:
            raise ValueError(f"{type(self).__name__} is closed")
        return self._pointer

    @property
    def closed(self) -> bool:
        return bool(self._pointer == ffi.NULL)

    def close(self) -> None:
        """Destroys the C object."""
        pointer, self._pointer = self._pointer, ffi.NULL
        if pointer != ffi.NULL:
            self._destroy(pointer)

    def _destroy(self, pointer: Any) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
