"""Rate and time left of a stage, from the windows that are finished."""

from __future__ import annotations


class Pace:
    """Both are None before the first window is finished; the time left never rises, even if windows get slower.

    per_second  finished windows per second since the stage began
    left_s      seconds until the end of the stage
    """

    def __init__(self, began: float) -> None:
        self.per_second: float | None = None
        self.left_s: float | None = None
        self._began = began

    def update(self, now: float, done: int, total: int) -> None:
        """Take over that `done` of `total` windows are finished when the clock shows `now`."""
        if done == 0 or now <= self._began:
            return
        self.per_second = done / (now - self._began)
        left_s = (total - done) / self.per_second
        self.left_s = left_s if self.left_s is None else min(self.left_s, left_s)
