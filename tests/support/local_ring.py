"""A slot ring whose model runs in this process, and a model for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class LocalSlot:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.input = np.full(shape, np.nan, np.float32)
        self.output: NDArray[np.float32] | None = None


class LocalRing:
    """A slot ring whose model runs in `wait`."""

    def __init__(self, model: Any, slots: int, batch: int, channels: int, roi: tuple[int, int, int]) -> None:
        self.slots = slots
        self._model = model
        self._free = [LocalSlot((batch, channels, *roi)) for _ in range(slots)]
        self._in_flight: list[tuple[LocalSlot, int]] = []
        self.most_in_flight = 0
        self.requests = 0

    def acquire(self) -> LocalSlot:
        return self._free.pop(0)

    def submit(self, slot: LocalSlot, n: int) -> None:
        self._in_flight.append((slot, n))
        self.most_in_flight = max(self.most_in_flight, len(self._in_flight))
        self.requests += 1

    def wait(self, slot: LocalSlot) -> NDArray[np.float32]:
        (index,) = [i for i, (other, _) in enumerate(self._in_flight) if other is slot]
        _, n = self._in_flight.pop(index)
        return self._model(slot.input[:n])

    def release(self, slot: LocalSlot) -> None:
        self._free.append(slot)


def position_dependent_model(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, 1, …] → [N, 3, …]: three channels that depend on the position in the window, so that overlaps matter."""
    n, _, r0, r1, r2 = tiles.shape
    i, j, k = np.meshgrid(np.arange(r0), np.arange(r1), np.arange(r2), indexing="ij")
    x = tiles[:, 0]
    return np.stack([x, 0.5 + 0.01 * (i - j) * np.ones((n, 1, 1, 1)), 1 - x + 0.02 * k], axis=1).astype(np.float32)
