"""KeepLargestCC: the largest connected component of each label."""

from __future__ import annotations

import math
from typing import Any

from pydantic import field_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.arguments import LabelIds
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.memory_order import empty_like


class KeepLargestCC(Barrier):
    """Of every label but 0, only the largest connected component stays; the rest becomes 0.

    Labels are looked at one by one, and so are channels. Voxels are connected through faces (`connectivity` 1), edges
    too (2) or corners too (3). Of components of one size, the one stays that holds the first voxel in scan order of
    [X, Y, Z], Z fastest. With `applied_labels`, other labels stay as they are.
    """

    name = "KeepLargestCC"
    needs_labels = True

    class Args(FieldsArguments):
        connectivity: int = 1
        applied_labels: LabelIds | None = None

        @field_validator("connectivity", mode="before")
        @classmethod
        def _of_a_grid(cls, value: Any) -> int:
            if isinstance(value, bool) or str(value) not in ("1", "2", "3"):
                raise ValueError("expected 1 (faces), 2 (edges too) or 3 (corners too)")
            return int(value)

    def scratch_bytes(self, field: FieldState) -> int:
        """Parents and sizes of components, 32 bits per voxel each."""
        return 8 * math.prod(field.shape)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        out = empty_like(array, field.dtype, backend)
        for channel in range(field.channels):
            backend.largest_components(array[channel], self.args.connectivity, self.args.applied_labels, out[channel])
        return out
