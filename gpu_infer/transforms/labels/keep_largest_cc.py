"""KeepLargestCC: the largest connected component of each label."""

from __future__ import annotations

import math

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.labels import component_bytes
from gpu_infer.transforms.arguments import Connectivity, Flag, LabelIds
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.labels.label_dtypes import check_label_dtype
from gpu_infer.transforms.memory_order import empty_like


class KeepLargestCC(Barrier):
    """Of every label but 0, only the largest connected component stays; the rest becomes 0.

    Each label of each channel is treated separately. Voxels are connected through faces (`connectivity` 1), edges too
    (2) or corners too (3). Of components of one size, the one with the first voxel in scan order of [X, Y, Z] stays,
    Z fastest. With `applied_labels`, other labels do not change. Without `independent`, the treated labels are one
    foreground, whose largest component stays.
    """

    name = "KeepLargestCC"
    needs_labels = True
    keeps_label_numbers = True

    class Args(FieldsArguments):
        connectivity: Connectivity = 1
        applied_labels: LabelIds | None = None
        independent: Flag = True

    def scratch_bytes(self, field: FieldState) -> int:
        """Parents and sizes of components, and a mask of joined labels."""
        voxels = math.prod(field.shape)
        return component_bytes(voxels) + (0 if self.args.independent else voxels)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        check_label_dtype(self, field.name, array)
        args, out = self.args, empty_like(array, array.dtype, backend)
        for channel in range(field.channels):
            backend.largest_components(
                array[channel], args.connectivity, args.applied_labels, out[channel], joined=not args.independent
            )
        return out
