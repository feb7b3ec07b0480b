"""From stored voxels to the model's input: resampling, functions per voxel and their statistics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from gpu_infer.backends import dtypes
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.types import Array, Moments, Tables, TwinArray

_IDENTITY = ClampedAffine()


class PrepareOperations(ABC):
    """The public operations of this group, and what a backend implements for them."""

    def resample(
        self, source: Array, out: Array, tables: Tables | None, before: ClampedAffine, after: ClampedAffine
    ) -> None:
        """out[c, x, y, z] = after(resample(before(source))), in one pass.

        Voxels are interpolated along the axes in the order of `layout.axis_order`, the output's fastest axis last, so
        that both backends round alike.

        Args:
            source: [C, X, Y, Z] of int8/16/32, uint8/16/32, float16/32/64, either byte order, any signed strides.
            out: [C, X', Y', Z'] float32 or float16; or an integer dtype with nearest tables and identity functions.
            tables: One per axis with X', Y', Z' entries; None: no resampling, X' == X and so on.
            before: Function of the stored voxels.
            after: Function of the resampled voxels.

        Raises:
            ValueError: If shapes, dtypes and tables do not agree.
        """
        check_resample(source, out, tables)
        if out.size == 0:
            return
        if tables is None:
            x, y, z = (identity_table(n) for n in source.shape[1:])
            tables = (x, y, z)
        if out.dtype.kind in "iu":
            check_copies(source, out, tables, before, after)
            self._resample_nearest(source, out, tables)
        else:
            self._resample_linear(source, out, tables, before, after)

    def masked_moments(self, array: Array, nonzero_only: bool) -> Moments:
        """Moments of all voxels of [C, X, Y, Z] together, or of those that are not 0; sums in float64.

        A NaN counts as not 0. NaN and infinite voxels make the mean or the deviation NaN or infinite; the caller checks
        for that. Not asynchronous.

        Args:
            array: Any dtype that `resample` reads.
            nonzero_only: Whether voxels of value 0 are left out.

        Raises:
            ValueError: If the array is not [C, X, Y, Z] of real numbers.
        """
        _check_moments(array)
        return self._masked_moments(array, nonzero_only) if array.size else Moments(0, 0.0, 0.0)

    def masked_affine(self, source: Array, out: Array, function: ClampedAffine, mask: Array | None = None) -> None:
        """out = function(source) if source (or the mask, if there is one) is not 0, else 0; computed in float32.

        Args:
            source: [C, X, Y, Z] float32 or float16.
            out: The same shape, float32 or float16; it may be `source`.
            function: Function of a voxel.
            mask: The same shape, uint8, any strides.

        Raises:
            ValueError: If shapes or dtypes do not agree.
        """
        _check_masked_affine(source, out, mask)
        if not out.size:
            return
        if mask is None:
            self._masked_affine(source, out, function)
        else:
            self._affine_within(source, mask, out, function)

    @abstractmethod
    def _resample_linear(
        self, source: TwinArray, out: TwinArray, tables: Tables, before: ClampedAffine, after: ClampedAffine
    ) -> None:
        """`resample` to float32 or float16, not empty."""

    @abstractmethod
    def _resample_nearest(self, source: TwinArray, out: TwinArray, tables: Tables) -> None:
        """out[c, x, y, z] = source[c, tables' lower index] of the same or a wider integer dtype, not empty."""

    @abstractmethod
    def _masked_moments(self, array: TwinArray, nonzero_only: bool) -> Moments:
        """`masked_moments` of an array that is not empty."""

    @abstractmethod
    def _masked_affine(self, source: TwinArray, out: TwinArray, function: ClampedAffine) -> None:
        """`masked_affine` without a mask, of arrays that are not empty."""

    @abstractmethod
    def _affine_within(self, source: TwinArray, mask: TwinArray, out: TwinArray, function: ClampedAffine) -> None:
        """`masked_affine` with a mask, of arrays that are not empty."""


# Kernels index without bounds checks: these functions keep a caller's mistake away from foreign memory.
def check_resample(source: Array, out: Array, tables: Tables | None) -> None:
    """source [C, X, Y, Z] of real numbers, out [C, X', Y', Z'], tables that lead from one to the other."""
    if source.ndim != 4 or out.ndim != 4 or source.shape[0] != out.shape[0]:
        raise ValueError(f"resample takes [C, X, Y, Z] twice with equal C, found {source.shape} and {out.shape}")
    if not dtypes.is_real(source.dtype):
        raise ValueError(f"resample reads integers and floats of up to 8 bytes, found {source.dtype}")
    if out.dtype not in dtypes.MODEL and out.dtype.kind not in "iu":
        raise ValueError(f"resample writes float32, float16 and integers, found {out.dtype}")
    if tables is None:
        if source.shape != out.shape:
            raise ValueError(f"without tables the shapes must agree, found {source.shape} and {out.shape}")
        return
    check_tables(tables, source.shape[1:], out.shape[1:])


def check_tables(tables: Tables, in_shape: Sequence[int], out_shape: Sequence[int]) -> None:
    """One entry per output index of each axis, and every entry inside the input."""
    for axis, (table, n_in, n_out) in enumerate(zip(tables, in_shape, out_shape, strict=True)):
        if len(table) != n_out:
            raise ValueError(f"axis {axis}: the table has {len(table)} entries, the output {n_out}")
        for index in (table.lower, table.upper):
            if n_out and (int(index.min()) < 0 or int(index.max()) >= n_in):
                raise ValueError(f"axis {axis}: the table reads {index.min()} … {index.max()} of {n_in} samples")


def check_copies(
    source: Array,
    out: Array,
    tables: Tables,
    before: ClampedAffine = _IDENTITY,
    after: ClampedAffine = _IDENTITY,
) -> None:
    """Integers are copied, never computed: nearest tables, identity functions, a dtype that holds every value."""
    if not all(table.is_gather for table in tables):
        raise ValueError("an integer output needs nearest tables, these interpolate")
    if not (before.is_identity and after.is_identity):
        raise ValueError("an integer output needs identity functions before and after")
    if not np.can_cast(source.dtype, out.dtype, "safe"):
        raise ValueError(f"{out.dtype} does not hold every value of {source.dtype}")


def _check_moments(array: Array) -> None:
    """[C, X, Y, Z] of real numbers."""
    if array.ndim != 4 or not dtypes.is_real(array.dtype):
        raise ValueError(f"moments are taken of real [C, X, Y, Z] of up to 8 bytes, found {array.dtype} {array.shape}")


def _check_masked_affine(source: Array, out: Array, mask: Array | None) -> None:
    """Two [C, X, Y, Z] of one shape, float32 or float16, and a uint8 mask of that shape."""
    if source.ndim != 4 or source.shape != out.shape:
        raise ValueError(f"masked_affine takes [C, X, Y, Z] twice, found {source.shape} and {out.shape}")
    if source.dtype not in dtypes.MODEL or out.dtype not in dtypes.MODEL:
        raise ValueError(f"masked_affine takes float32 and float16, found {source.dtype} and {out.dtype}")
    if mask is not None and (mask.shape != source.shape or mask.dtype != np.uint8):
        raise ValueError(f"the mask must be uint8 {source.shape}, found {mask.dtype} {mask.shape}")
