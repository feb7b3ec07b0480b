"""What learns how far a reader has filled its array, so that other work on the voxels can begin meanwhile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Follower:
    """Follows a reader through the bytes of its array. This class does nothing; `backends.base.upload` has a use of it.

    A reader calls `begin` once, if the bytes will not change any more after they are filled, and then `advance` with a
    growing number of bytes. It need not report all of them. What it does not report is looked at when the volume is
    complete.

    step  bytes after which a reader should report
    """

    step: int = 1 << 27

    def begin(self, memory: NDArray[np.uint8]) -> None:
        """`memory` [n], contiguous, will be filled from its start."""

    def advance(self, end: int) -> None:
        """The first `end` bytes are filled."""

    def rewind(self, end: int) -> None:
        """Only the first `end` bytes are filled: those after them will be written again."""

    def part(self, begin: int) -> Follower:
        """A follower of the part of the memory that starts at byte `begin`, once all before it is filled."""
        return self if begin == 0 else _PartFollower(self, begin)


class _PartFollower(Follower):
    def __init__(self, whole: Follower, begin: int) -> None:
        self._whole, self._begin = whole, begin
        self.step = whole.step

    def advance(self, end: int) -> None:
        self._whole.advance(self._begin + end)

    def rewind(self, end: int) -> None:
        self._whole.rewind(self._begin + end)


NO_FOLLOWER = Follower()
