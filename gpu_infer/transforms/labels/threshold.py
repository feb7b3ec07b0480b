"""What the thresholds share."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from gpu_infer.backends.base import Array, Backend
from gpu_infer.transforms.base import Barrier
from gpu_infer.transforms.field import FieldState, Kind


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
        out = backend.empty(array.shape, field.dtype)
        each = self.thresholds if self.channels else self.thresholds * field.channels
        for channel, threshold in enumerate(each):
            # NumPy's type, since a Python number takes the array's, in which −1 or 0.5 may not fit
            out[channel] = array[channel] > np.float32(threshold)
        return out
