"""What transforms share that measure an array, or each of its channels, and scale it."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Flag
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.float32 import as_float32, as_float32_bytes


class MeasuredPartsArguments(FieldsArguments):
    """`channel_wise`: each channel is measured on its own, else all together."""

    channel_wise: Flag = False


class MeasuredParts(Barrier):
    """A clamped affine function with constants of the whole array, or of each channel."""

    scales_values = True

    @property
    def nonzero_only(self) -> bool:
        """True if voxels of value 0 stay 0."""
        return False

    @abstractmethod
    def measure(self, part: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        """The function for the values of `part` [C, X, Y, Z]."""

    def trace(self, field: FieldState) -> None:
        field.dtype = np.dtype(np.float32)

    def scratch_bytes(self, field: FieldState) -> int:
        """A float32 copy of other numbers."""
        return as_float32_bytes(field)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        array = as_float32(array, backend)
        out = backend.empty(array.shape, np.float32)
        step = 1 if self.args.channel_wise else max(1, field.channels)
        for first in range(0, field.channels, step):
            part, target = array[first : first + step], out[first : first + step]
            function = self.measure(part, field, backend)
            if self.nonzero_only:
                backend.masked_affine(part, target, function)
            else:
                backend.resample(part, target, None, function, ClampedAffine())
        return out
