"""KeepLargestCC: the largest connected component of each label."""

from __future__ import annotations

import math

from pydantic import field_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.arguments import LabelIds
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.memory_order import empty_like


class KeepLargestCC(Barrier):
    """Of every label but 0, only the largest connected component stays; the rest becomes 0.

    Each label of each channel is treated separately. Voxels are connected through faces (`connectivity` 1), edges too
    (2) or corners too (3). Of components of one size, the one with the first voxel in scan order of [X, Y, Z] stays,
    Z fastest. With `applied_labels`, other labels do not change.
    """

    name = "KeepLargestCC"
    needs_labels = True
    keeps_label_numbers = True

    class Args(FieldsArguments):
        connectivity: int = 1
        applied_labels: LabelIds | None = None

        @field_validator("connectivity", mode="before")
        @classmethod
        def _of_a_grid(cls, value: object) -> int:
            if isinstance(value, bool) or str(value) not in ("1", "2", "3"):
                raise ValueError("expected 1 (faces), 2 (edges too) or 3 (corners too)")
            return int(str(value))

    def scratch_bytes(self, field: FieldState) -> int:
        """Parents and sizes of components, 32 bits per voxel each."""
        return 8 * math.prod(field.shape)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        out = empty_like(array, field.dtype, backend)
        for channel in range(field.channels):
            backend.largest_components(array[channel], self.args.connectivity, self.args.applied_labels, out[channel])
        return out
