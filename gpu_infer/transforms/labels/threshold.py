"""What the thresholds share."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from gpu_infer.backends.base import Array, Backend
from gpu_infer.transforms.base import Barrier
from gpu_infer.transforms.field import FieldState, Kind
from gpu_infer.transforms.memory_order import empty_like


class Threshold(Barrier):
    """1 where x > threshold, else 0, compared in float32; a NaN gives 0.

    Scores and labels become a uint8 label map, channel by channel; an image stays an image of its dtype.
    """

    @property
    @abstractmethod
    def thresholds(self) -> tuple[float, ...]:
        """One for all channels, or one per channel."""

    @property
    def channels(self) -> int | None:
        return len(self.thresholds) if len(self.thresholds) > 1 else None

    def outcome(self, kind: Kind) -> Kind:
        return "image" if kind == "image" else "labels"

    def trace(self, field: FieldState) -> None:
        if field.kind != "image":
            field.dtype = np.dtype(np.uint8)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        self.trace(field)
        out = empty_like(array, field.dtype, backend)
        if not self.channels:
            backend.threshold(array, out, self.thresholds[0])
            return out
        for channel, threshold in enumerate(self.thresholds):
            one = slice(channel, channel + 1)
            backend.threshold(array[one], out[one], threshold)
        return out
