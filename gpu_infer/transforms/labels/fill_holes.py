"""FillHoles: give holes of a label that label."""

from __future__ import annotations

import math

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.labels import component_bytes
from gpu_infer.transforms.arguments import Connectivity, LabelIds
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.copying import copy_voxels
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.labels.label_dtypes import check_label_dtype
from gpu_infer.transforms.memory_order import empty_like


class FillHoles(Barrier):
    """Voxels that a label encloses get this label, other labels among them; one label after the other, upwards.

    A hole is a connected component of the voxels without the label that touches no face of the volume. Its voxels
    connect through faces (`connectivity` 1), edges too (2) or corners too (3): what is open through a corner alone is a
    hole for 1 and 2. Each channel is treated separately.
    """

    name = "FillHoles"
    needs_labels = True
    keeps_label_numbers = True

    class Args(FieldsArguments):
        applied_labels: LabelIds | None = None
        connectivity: Connectivity = 3

    def scratch_bytes(self, field: FieldState) -> int:
        """A mask, and parents and sizes of components."""
        voxels = math.prod(field.shape)
        return component_bytes(voxels) + voxels

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        check_label_dtype(self, field.name, array)
        out = empty_like(array, array.dtype, backend)
        for channel in range(field.channels):
            source, target = array[channel], out[channel]
            labels = self._labels(source, backend)
            if not labels:
                copy_voxels(source[None], target[None], backend)
            for label in labels:
                backend.fill_holes(source, self.args.connectivity, label, target)
                source = target
        return out

    def _labels(self, array: Array, backend: Backend) -> list[int]:
        """The labels of [X, Y, Z] to treat, upwards."""
        present = [int(label) for label in np.flatnonzero(backend.histogram(array)) if label]
        applied = self.args.applied_labels
        return present if applied is None else [label for label in present if label in applied]
