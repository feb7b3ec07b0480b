"""HistogramNormalize: equalise the histogram of values."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, model_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.base.histograms import MOST_BINS
from gpu_infer.errors import InputError
from gpu_infer.transforms.arguments import Number, PositiveInteger
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.finite import check_finite
from gpu_infer.transforms.intensity.float32 import as_float32, as_float32_bytes


def _several(bins: int) -> int:
    if not 2 <= bins <= MOST_BINS:
        raise ValueError(f"expected 2 to {MOST_BINS} bins")
    return bins


class HistogramNormalize(Barrier):
    """MONAI's: values become their share of the cumulative histogram, from `min` to `max`.

    The histogram has `num_bins` equal bins from the least to the greatest value, and counts all channels together.
    Between the centres of bins the share is interpolated linearly.

    Raises InputError for NaN and infinite voxels, and for values that are too close to each other for the bins.
    """

    name = "HistogramNormalize"
    scales_values = True

    class Args(FieldsArguments):
        num_bins: Annotated[PositiveInteger, AfterValidator(_several)] = 256
        min: Number = 0.0
        max: Number = 255.0

        @model_validator(mode="before")
        @classmethod
        def _no_mask(cls, arguments: object) -> object:
            if isinstance(arguments, dict) and arguments.get("mask") is not None:
                raise ValueError('"mask" is not supported: leave it out to count all voxels')
            return arguments

    def trace(self, field: FieldState) -> None:
        field.dtype = np.dtype(np.float32)

    def scratch_bytes(self, field: FieldState) -> int:
        """A float32 copy of other numbers."""
        return as_float32_bytes(field)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        array = as_float32(array, backend)
        edges = self._edges(array, field, backend)
        points = (edges[:-1] + edges[1:]) / np.float32(2)
        counts = backend.count_bins(array, edges)
        out = backend.empty(array.shape, np.float32)
        backend.map_values(array, out, points.astype(np.float64), self._shares(counts))
        return out

    def _edges(self, array: Array, field: FieldState, backend: Backend) -> NDArray[np.float32]:
        low, high = check_finite(self, array, field, backend, "histogram")
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                edges = np.histogram_bin_edges(np.array([low, high], np.float32), self.args.num_bins)
            except ValueError:  # too many bins for the range
                edges = np.zeros(2, np.float32)
        if not (edges[1:] > edges[:-1]).all():
            raise InputError(
                f"{self.place}: {field.name!r} has values from {low:g} to {high:g}, expected a range that "
                f"{self.args.num_bins} bins of float32 divide",
                remedy='set a smaller "num_bins", or scale the values before',
            )
        return edges.astype(np.float32, copy=False)

    def _shares(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Value at the centre of each bin; float32 as in MONAI. The first and the last bin have voxels, or one has."""
        share = np.cumsum(counts).astype(np.float32)
        share = (share - share[0]) / (share[-1] - share[0])
        values: NDArray[np.float32] = share * np.float32(self.args.max - self.args.min) + np.float32(self.args.min)
        return values.astype(np.float64)
