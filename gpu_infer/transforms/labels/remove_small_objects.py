"""RemoveSmallObjects: drop connected components below a size."""

from __future__ import annotations

import math

from pydantic import ValidationInfo, field_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.labels import MOST_VOXELS, component_bytes
from gpu_infer.transforms.arguments import Connectivity, Flag, LabelIds, Number
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.labels.label_dtypes import check_label_dtype
from gpu_infer.transforms.memory_order import empty_like

_ROUNDING = 1e-9
"""Relative rounding errors of a volume in mm³ that do not cost a component its last voxel."""


class RemoveSmallObjects(Barrier):
    """Connected components of fewer than `min_size` voxels, or of less than so many mm³, become 0.

    Each label of each channel is treated separately, except without `independent_channels`: the treated labels are one
    foreground then. With `applied_labels`, other labels do not change. A voxel's volume is that of the current grid.
    """

    name = "RemoveSmallObjects"
    needs_labels = True
    keeps_label_numbers = True

    class Args(FieldsArguments):
        by_measure: Flag = False
        min_size: Number = 64.0
        connectivity: Connectivity = 1
        independent_channels: Flag = True
        applied_labels: LabelIds | None = None

        @field_validator("min_size")
        @classmethod
        def _positive(cls, value: float, info: ValidationInfo) -> float:
            if value <= 0:
                raise ValueError("expected a positive number")
            if not info.data.get("by_measure") and not value.is_integer():
                raise ValueError('expected a whole number of voxels, or mm³ with "by_measure": true')
            return value

    def least_voxels(self, field: FieldState) -> int:
        """Voxels of the smallest component that stays."""
        size = float(self.args.min_size)
        if self.args.by_measure:
            size = size / math.prod(field.spacing) * (1 - _ROUNDING)
        return min(math.ceil(size), MOST_VOXELS - 1)

    def scratch_bytes(self, field: FieldState) -> int:
        """Parents and sizes of components, 32 bits per voxel each, and a mask of joined labels."""
        voxels = math.prod(field.shape)
        return component_bytes(voxels) + (0 if self.args.independent_channels else voxels)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        check_label_dtype(self, field.name, array)
        args, out, least = self.args, empty_like(array, array.dtype, backend), self.least_voxels(field)
        for channel in range(field.channels):
            backend.remove_small_components(
                array[channel],
                args.connectivity,
                least,
                args.applied_labels,
                out[channel],
                joined=not args.independent_channels,
            )
        return out
