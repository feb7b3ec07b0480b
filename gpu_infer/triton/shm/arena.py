"""The memory that slots live in: one block, registered at most once, slots addressed by offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import DTypeLike


class Arena(Protocol):
    """One block of `nbytes` bytes; host memory, a POSIX segment or a CUDA allocation."""

    nbytes: int

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> Any:
        """Array over the block from `offset` bytes on: NumPy's for host memory, else the backend's."""
        ...

    def close(self) -> None:
        """Give the memory back; every view is dead afterwards. Called more than once without harm."""
        ...
