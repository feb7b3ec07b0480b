"""EqualizeAdapthist: contrast-limited adaptive histogram equalisation (CLAHE)."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.filters import FilterBytes, FilterPlaces, filter_bytes, library_function
from gpu_infer.errors import InputError
from gpu_infer.transforms.arguments import Number, PositiveInteger, Triple
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.finite import check_finite
from gpu_infer.transforms.intensity.float32 import as_float32, as_float32_bytes
from gpu_infer.volume.geometry import Shape3, format_shape

GRAY_LEVELS = 1 << 14
"""Levels to which scikit-image and cuCIM round values before they count them."""


def _limit(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError("expected a number above 0 and up to 1")
    return value


def _several(bins: int) -> int:
    if not 2 <= bins <= GRAY_LEVELS:
        raise ValueError(f"expected 2 to {GRAY_LEVELS} bins")
    return bins


class EqualizeAdapthist(Barrier):
    """scikit-image's `exposure.equalize_adapthist` of each channel as a volume; the result is in 0 … 1.

    `kernel_size` is that of a region in voxels of the current grid; None: an eighth of each axis, at least 1.

    Raises ConfigError if scikit-image is not installed, and InputError for a region larger than the grid, and for
    voxels outside of −1 … 1.
    """

    name = "EqualizeAdapthist"
    scales_values = True
    library_filters = ("equalize_adapthist",)

    class Args(FieldsArguments):
        kernel_size: Triple | None = None
        clip_limit: Annotated[Number, AfterValidator(_limit)] = 0.01
        nbins: Annotated[PositiveInteger, AfterValidator(_several)] = 256

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)
        library_function("equalize_adapthist", "cpu")

    def trace(self, field: FieldState) -> None:
        self._kernel(field.shape, field.name)
        field.dtype = np.dtype(np.float32)

    def scratch_bytes(self, field: FieldState) -> int:
        """A float32 copy of other numbers."""
        return as_float32_bytes(field)

    def filter_bytes(self, field: FieldState, places: FilterPlaces) -> FilterBytes:
        """The library pads the channel to whole regions, by half a region on both sides.

        A region has a table of `nbins` numbers of 8 bytes, of which three copies exist, and weights of 6 × 8 bytes for
        its voxels.
        """
        kernel = self._kernel(field.shape, field.name)
        regions = [-(-n // k) for n, k in zip(field.shape, kernel, strict=True)]
        padded = math.prod((count + 1) * k for count, k in zip(regions, kernel, strict=True))
        tables = 24 * self.args.nbins * math.prod(count + 2 for count in regions) + 48 * math.prod(kernel)
        return filter_bytes("equalize_adapthist", math.prod(field.shape), places, work=padded, tables=tables)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        low, high = check_finite(self, array, field, backend, "histogram")
        if low < -1 or high > 1:
            raise InputError(
                f"{self.place}: {field.name!r} has values from {low:g} to {high:g}, expected −1 to 1",
                remedy="put ScaleIntensity or ScaleIntensityRange before",
            )
        kernel = self._kernel(field.shape, field.name)
        out = backend.empty(array.shape, np.float32)
        backend.library_filter(
            "equalize_adapthist",
            as_float32(array, backend),
            out,
            kernel_size=kernel,
            clip_limit=self.args.clip_limit,
            nbins=self.args.nbins,
        )
        return out

    def _kernel(self, shape: Shape3, name: str) -> Shape3:
        kernel: Shape3 | None = self.args.kernel_size
        if kernel is None:
            x, y, z = (max(n // 8, 1) for n in shape)
            return (x, y, z)
        if any(k > n for k, n in zip(kernel, shape, strict=True)):
            raise InputError(
                f"{self.place}: kernel_size {format_shape(kernel)} is larger than the grid {format_shape(shape)} of "
                f"{name!r}",
                remedy="choose a smaller kernel_size, or leave it out for an eighth of each axis",
            )
        return kernel
