"""ScaleAsNnunet: resample to a voxel size as nnU-Net does, whose rules depend on the spacing of each file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, cast

import numpy as np
from pydantic import field_validator

from gpu_infer.backends.base.backend import Array, Backend, Tables
from gpu_infer.backends.resampling import linear_table, nearest_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.tap_tables import cubic_table
from gpu_infer.backends.taps import TapTable, TapTables, scratch_bytes
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Flag, Number
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState, Spacing
from gpu_infer.transforms.grid_limit import check_grid
from gpu_infer.transforms.spatial.target_spacing import TargetSpacing, spacing_of
from gpu_infer.volume.geometry import Shape3

_FLOAT32 = np.dtype(np.float32)
_SAME_SPACING = 1e-6
"""Relative difference of spacings that are one: norms of an affine's columns are not exact."""


class ScaleAsNnunet(Barrier):
    """Resamples to `target_spacing` in mm along X, Y, Z as nnU-Net's `resample_data_or_seg_to_shape`.

    size = round(spacing / target · n), outer faces coincide; null is the spacing of the file. `order` 3 is a cubic
    spline whose values are limited to the range of each channel, 1 linear, 0 nearest. If the greatest spacing exceeds
    `anisotropy_threshold` times the smallest, in the file or in the target, the axis of the greatest one is resampled
    separately: slices across it by `order`, each limited to its own range, and the nearest slice along it.
    `force_separate_z` true does so for any file, false for none. RestoreOriginalShape with linear interpolation undoes
    it as nnU-Net resamples logits: the target's spacing decides first, and `restore_force_separate_z` forces.
    """

    name = "ScaleAsNnunet"
    changes_grid = True
    scales_values = True

    class Args(FieldsArguments):
        target_spacing: TargetSpacing
        order: Literal[0, 1, 3] = 3
        force_separate_z: Flag | None = None
        restore_force_separate_z: Flag | None = None
        anisotropy_threshold: Number = 3.0

        @field_validator("order", mode="before")
        @classmethod
        def _order(cls, value: object) -> object:
            if value not in (0, 1, 3) or isinstance(value, bool):
                raise ValueError("expected 0 (nearest), 1 (linear) or 3 (cubic)")
            return value

        @field_validator("anisotropy_threshold")
        @classmethod
        def _threshold(cls, value: float) -> float:
            if value <= 0:
                raise ValueError("expected a positive number")
            return value

    def trace(self, field: FieldState) -> None:
        self._record(field)

    def scratch_bytes(self, field: FieldState) -> int:
        shape = self._shape(field)
        if self.args.order != 3 or shape == field.shape:
            return 0
        axis = self._separate_axis(field)
        read = field.shape if axis is None else _with(field.shape, axis, 1)
        return scratch_bytes(read, self._cubic_tables(read, shape if axis is None else _with(shape, axis, 1)))

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        before, shape, axis = field.shape, self._shape(field), self._separate_axis(field)
        if shape == before and array.dtype == _FLOAT32:
            return array
        out = backend.empty((field.channels, *shape), _FLOAT32)
        if self.args.order == 3 and shape != before:
            for channel in range(field.channels):
                part = slice(channel, channel + 1)
                self._resample_cubic(array[part], out[part], axis, backend)
        else:
            tables = self._tables(before, shape, axis)
            backend.resample(array, out, tables, ClampedAffine(), ClampedAffine())
        self._record(field)
        return out

    def _record(self, field: FieldState) -> None:
        """Record the new grid, and how scores come back from it."""
        shape = self._shape(field)
        force, threshold = self.args.restore_force_separate_z, self.args.anisotropy_threshold
        back = separate_axis(self._target(field), field.spacing, force, threshold)
        x, y, z = (axis == back for axis in range(3))
        field.dtype = _FLOAT32
        field.resampled(shape, align_corners=False, nearest_back=(x, y, z))

    def _target(self, field: FieldState) -> Spacing:
        return spacing_of(self.args.target_spacing, field)

    def _shape(self, field: FieldState) -> Shape3:
        ratios = (s / t for s, t in zip(field.spacing, self._target(field), strict=True))
        try:  # in nnU-Net's order of operations, halves to even
            x, y, z = (round(ratio * n) for ratio, n in zip(ratios, field.shape, strict=True))
        except OverflowError:
            x, y, z = 1 << 62, 1, 1
        if min(x, y, z) < 1:
            raise ConfigError(
                f"{self.place}: {field.shape} voxels of {field.spacing} mm become {(x, y, z)}, expected at least 1",
                remedy="check the spacing in the file: nnU-Net cannot resample it either",
            )
        check_grid(self.place, field.shape, (x, y, z))
        return (x, y, z)

    def _separate_axis(self, field: FieldState) -> int | None:
        force, threshold = self.args.force_separate_z, self.args.anisotropy_threshold
        return separate_axis(field.spacing, self._target(field), force, threshold)

    def _tables(self, before: Shape3, shape: Shape3, axis: int | None) -> Tables:
        linear = self.args.order == 1
        x, y, z = (
            (linear_table if linear and a != axis else nearest_table)(n, m, align_corners=False)
            for a, (n, m) in enumerate(zip(before, shape, strict=True))
        )
        return (x, y, z)

    def _cubic_tables(self, before: Shape3, shape: Shape3) -> TapTables:
        x, y, z = (cubic_table(n, m, align_corners=False) for n, m in zip(before, shape, strict=True))
        return (x, y, z)

    def _resample_cubic(self, source: Array, out: Array, axis: int | None, backend: Backend) -> None:
        """One channel, [1, X, Y, Z]."""
        before, shape = cast(Shape3, tuple(source.shape[1:])), cast(Shape3, tuple(out.shape[1:]))
        if axis is None:
            _resample_within_range(source, out, self._cubic_tables(before, shape), backend)
            return
        tables = self._cubic_tables(_with(before, axis, 1), _with(shape, axis, 1))
        for index, copies in _slice_runs(before[axis], shape[axis]):
            slice_tables = list(tables)
            slice_tables[axis] = _copies(copies.stop - copies.start)
            x, y, z = slice_tables
            source_slice = source[_along(axis, slice(index, index + 1))]
            _resample_within_range(source_slice, out[_along(axis, copies)], (x, y, z), backend)


def separate_axis(current: Spacing, new: Spacing, force: bool | None, threshold: float) -> int | None:
    """The axis that nnU-Net resamples separately on the way from spacing `current` to `new`; None: no axis.

    `force` None lets the spacings decide, `current` first. Two axes of the greatest spacing are not separate.
    """
    chosen: Sequence[float] | None = current if force else None
    if force is None:
        chosen = next((spacing for spacing in (current, new) if max(spacing) / min(spacing) > threshold), None)
    if chosen is None:
        return None
    coarse = [axis for axis in range(3) if math.isclose(chosen[axis], max(chosen), rel_tol=_SAME_SPACING)]
    return coarse[0] if len(coarse) == 1 else None


def _resample_within_range(source: Array, out: Array, tables: TapTables, backend: Backend) -> None:
    """Values of the spline, limited to the range of the source, as scikit-image's `resize` limits them."""
    low, high, _ = backend.extrema(source)
    limit = ClampedAffine(low=low, high=high) if low <= high else ClampedAffine()
    backend.resample_taps(source, out, tables, ClampedAffine(), limit)


def _slice_runs(n_in: int, n_out: int) -> Iterator[tuple[int, slice]]:
    """Each input slice that is read, and the neighbouring output slices that are its copies."""
    nearest = nearest_table(n_in, n_out, align_corners=False).lower
    indices, starts = np.unique(nearest, return_index=True)
    for index, begin, end in zip(indices, starts, [*starts[1:], n_out], strict=True):
        yield int(index), slice(int(begin), int(end))


def _copies(count: int) -> TapTable:
    """A table that repeats one sample."""
    return TapTable(np.zeros(count, np.int32), np.ones(count, np.int32), np.ones((count, 1), np.float32))


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    """Index of `part` along an axis of [C, X, Y, Z]."""
    return tuple(part if a == axis + 1 else slice(None) for a in range(4))


def _with(shape: Shape3, axis: int, size: int) -> Shape3:
    x, y, z = (size if a == axis else n for a, n in enumerate(shape))
    return (x, y, z)
