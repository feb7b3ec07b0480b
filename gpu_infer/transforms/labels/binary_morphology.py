"""BinaryMorphology: grow or shrink labels by a ball."""

from __future__ import annotations

import logging
import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, model_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.boxes import Box
from gpu_infer.backends.filters import FilterBytes, FilterName, FilterPlaces, ball, filter_bytes, library_function
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import LabelIds, Number, Radii
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.copying import copy_voxels
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.labels.label_dtypes import check_label_dtype
from gpu_infer.transforms.memory_order import empty_like

log = logging.getLogger(__name__)

_MOST = 10
"""Voxels of a radius: the libraries look at every voxel of the ball, 4169 for this radius, at each voxel of a box."""

_STEPS: dict[str, tuple[FilterName, ...]] = {
    "open": ("erode", "dilate"),
    "close": ("dilate", "erode"),
    "dilate": ("dilate",),
    "erode": ("erode",),
}


def _small(radii: tuple[int, int, int]) -> tuple[int, int, int]:
    if not 0 < max(radii) <= _MOST:
        raise ValueError(f"expected a radius of 1 to {_MOST} voxels, or 3 of 0 to {_MOST}")
    return radii


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("expected a positive number")
    return value


class BinaryMorphology(Barrier):
    """Morphology of each label by a ball of `radius` voxels, or of `radius_mm` on the current grid.

    The ball is every offset d with Σ (d / r)² ≤ 1, for r in voxels along each axis. One label after the other, upwards:
    a voxel that a label gains must be background, and one that it loses becomes background. Each channel is treated
    separately. Voxels outside the volume decide nothing: a dilation takes them for background, an erosion for the
    label. Raises ConfigError if SciPy is not installed.
    """

    name = "BinaryMorphology"
    needs_labels = True
    keeps_label_numbers = True
    library_filters = ("dilate", "erode")

    class Args(FieldsArguments):
        operation: Literal["open", "close", "dilate", "erode"]
        radius: Annotated[Radii, AfterValidator(_small)] | None = None
        radius_mm: Annotated[Number, AfterValidator(_positive)] | None = None
        applied_labels: LabelIds | None = None

        @model_validator(mode="after")
        def _one_radius(self) -> Self:
            if (self.radius is None) == (self.radius_mm is None):
                raise ValueError('takes "radius" (voxels) or "radius_mm", one of them')
            return self

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)
        library_function("erode", "cpu")

    def trace(self, field: FieldState) -> None:
        self._radii(field)

    def scratch_bytes(self, field: FieldState) -> int:
        """Masks before and after a step, for one channel."""
        return 2 * math.prod(field.shape)

    def filter_bytes(self, field: FieldState, places: FilterPlaces) -> FilterBytes:
        return filter_bytes(_STEPS[self.args.operation][0], math.prod(field.shape), places)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        check_label_dtype(self, field.name, array)
        structure = ball(self._radii(field))
        if structure.size == 1:
            log.warning(
                "%s: radius_mm %g reaches no other voxel on a grid of %s mm, nothing changes",
                self.place,
                self.args.radius_mm,
                "×".join(f"{step:g}" for step in field.spacing),
            )
        out = empty_like(array, array.dtype, backend)
        copy_voxels(array, out, backend)
        for n in range(field.channels):
            labels = self._labels(out[n], backend)
            for label, box in backend.label_boxes(out[n], labels).items():
                self._change(out[n], label, box, structure, backend)
        return out

    def _radii(self, field: FieldState) -> tuple[float, float, float]:
        """Of the ball, in voxels of the field's grid. Raises ConfigError if one is too great."""
        if self.args.radius is not None:
            x, y, z = self.args.radius
            return (float(x), float(y), float(z))
        radius = float(self.args.radius_mm)
        x, y, z = (radius / step for step in field.spacing)
        if max(x, y, z) > _MOST:
            raise ConfigError(
                f"{self.place}: radius_mm {radius:g} is {max(x, y, z):.4g} voxels of {min(field.spacing):.4g} mm, "
                f"expected at most {_MOST} voxels",
                remedy="use a smaller radius, or a coarser grid",
            )
        return (x, y, z)

    def _labels(self, channel: Array, backend: Backend) -> list[int]:
        """The labels of [X, Y, Z] to treat, upwards."""
        present = [int(label) for label in np.flatnonzero(backend.histogram(channel)) if label]
        applied = self.args.applied_labels
        return present if applied is None else [label for label in present if label in applied]

    def _change(self, labels: Array, label: int, box: Box, structure: NDArray[np.bool_], backend: Backend) -> None:
        """Change one label of [X, Y, Z] in place; `box` is around its voxels."""
        steps = _STEPS[self.args.operation]
        part = labels[_widened(box, [len(steps) * (n // 2) for n in structure.shape], labels.shape)]
        is_label = np.zeros(1 << 8 * labels.dtype.itemsize, np.uint8)
        is_label[label] = 1
        mask = backend.empty((1, *part.shape), np.uint8)
        backend.lookup(part[None], is_label, mask)
        for step in steps:
            changed = backend.empty(mask.shape, np.uint8)
            backend.library_filter(step, mask, changed, structure=structure)
            mask = changed
        backend.repaint(mask[0], label, part)


def _widened(box: Box, margin: list[int], shape: tuple[int, ...]) -> Box:
    """With `margin` more voxels on both sides, inside the grid."""
    x, y, z = (slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(box, margin, shape, strict=True))
    return (x, y, z)
