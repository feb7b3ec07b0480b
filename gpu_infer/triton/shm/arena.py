"""The memory that slots live in: one arena, registered at most once, in which slots are addressed by offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import DTypeLike

ArenaArray = Any
"""A view of an arena: numpy.ndarray for host memory, cupy.ndarray for a CUDA allocation."""


class Arena(Protocol):
    """`nbytes` bytes of host memory, of a POSIX segment or of a CUDA allocation."""

    nbytes: int

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> ArenaArray:
        """C-ordered array over the arena from `offset` bytes on; ValueError if it does not fit."""
        ...

    def close(self) -> None:
        """Release the memory, if it is not released yet; its views must not be used afterwards."""
        ...
