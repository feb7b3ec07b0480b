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

    def acquire_group(self) -> list[LocalSlot]:
        return [self.acquire()]

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


class LocalGroups:
    """A ring of several models that run in `wait`, each on the input of its group."""

    def __init__(self, models: list[Any], slots: int, batch: int, channels: int, roi: tuple[int, int, int]) -> None:
        self.slots = slots
        self._free: list[list[LocalSlot]] = []
        self._busy: list[list[LocalSlot]] = []
        self._models: dict[int, Any] = {}
        self._sent: dict[int, int] = {}
        for _ in range(slots):
            group = [LocalSlot((batch, channels, *roi)) for _ in models]
            for slot, model in zip(group, models, strict=True):
                slot.input = group[0].input
                self._models[id(slot)] = model
            self._free.append(group)

    def acquire_group(self) -> list[LocalSlot]:
        self._busy.append(self._free.pop(0))
        return self._busy[-1]

    def submit(self, slot: LocalSlot, n: int) -> None:
        self._sent[id(slot)] = n

    def wait(self, slot: LocalSlot) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._models[id(slot)](slot.input[: self._sent[id(slot)]])
        return scores

    def release(self, slot: LocalSlot) -> None:
        del self._sent[id(slot)]
        if not any(id(other) in self._sent for other in self._busy[0]):
            self._free.append(self._busy.pop(0))
