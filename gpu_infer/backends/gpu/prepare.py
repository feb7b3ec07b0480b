"""From stored voxels to the model's input: resampling, functions per voxel and their statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base import checks
from gpu_infer.backends.base.backend import Array, Moments, Tables
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import ROWS, Operations
from gpu_infer.backends.gpu.tables import (
    PREPARE_TILES,
    axis_order,
    copied_view,
    interpolated_rows,
    is_across,
    plan_walk,
)
from gpu_infer.backends.layout import code, fastest_last, in_memory_order, output, pointer, reordered, steps
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.tables import ClampedAffine

_SLICES = 4
"""As the constants of that name in prepare.cu and turn.cu."""

_TURNED_TILE = 64
"""TILE of turn.cu."""

_MOMENT_THREADS = 256
_MOMENT_BLOCKS = 6
"""Per multiprocessor: as many as fit beside one another with the kernel's registers."""


class PrepareOperations(Operations):
    def resample(
        self, source: Array, out: Array, tables: Tables | None, before: ClampedAffine, after: ClampedAffine
    ) -> None:
        """See `Backend.prepare`. Reads either byte order in place.

        Raises ValueError where shapes, dtypes and tables do not go together.
        """
        checks.resample(source, out, tables)
        if out.size == 0:
            return
        if out.dtype.kind in "iu":
            tables = tables or _identity_tables(source)
            checks.integer_resample(source, out, tables, before, after)
            self._pick(source, tables, out)
        elif (view := copied_view(source, tables)) is not None:
            self._turn(view, out, before, after)
        else:
            assert tables is not None
            self._resample(source, out, tables, before, after)

    def _resample(self, source: Array, out: Array, tables: Tables, before: ClampedAffine, after: ClampedAffine) -> None:
        with self._device.section("prepare"):
            walk = plan_walk(source, out, tables, interpolated_rows, self._tables, tiles=PREPARE_TILES, slices=_SLICES)
            kind = f"prepare_{'tile' if walk.tile else 'direct'}_{code(source.dtype)}_{code(out.dtype)}"
            walked = self._walked(walk, source, out)
            functions = {"before": _constants(before), "after": _constants(after)}
            packed = arguments.packed(arguments.RESAMPLE, **walked, **functions, high=walk.high)
            self._launch_walk("prepare", kind, walk, out, packed)

    def _turn(self, source: Array, out: Array, before: ClampedAffine, after: ClampedAffine) -> None:
        """out = after(before(source)), two arrays of one shape."""
        with self._device.section("prepare"):
            o, p, q = axis_order(source, out)
            axes = (0, 1 + o, 1 + p, 1 + q)
            read, written = source.transpose(axes), out.transpose(axes)
            c, deep, high, wide = written.shape
            if is_across(source, p, q):
                blocks = c * -(-deep // _SLICES) * -(-high // _TURNED_TILE) * -(-wide // _TURNED_TILE)
                kind = "tile"
            else:
                blocks = c * deep * -(-high // ROWS["turn"])
                kind = "rows"
            packed = arguments.packed(
                arguments.TURN,
                src=pointer(read),
                dst=output(written),
                src_strides=steps(read),
                dst_strides=steps(written),
                size=written.shape,
                before=_constants(before),
                after=_constants(after),
                swap=not source.dtype.isnative,
            )
            self._device.launch("turn", f"turn_{kind}_{code(source.dtype)}_{code(out.dtype)}", blocks, packed)

    def masked_affine(self, source: Array, out: Array, function: ClampedAffine) -> None:
        """See `Backend.masked_affine`. Raises ValueError where shapes or dtypes do not go together."""
        checks.masked_affine(source, out)
        if out.size == 0:
            return
        with self._device.section("masked_affine"):
            order = fastest_last(out)
            size = reordered(out.shape, order)
            packed = arguments.packed(
                arguments.MASKED,
                source=pointer(source),
                out=output(out),
                source_strides=reordered(steps(source), order),
                out_strides=reordered(steps(out), order),
                size=size,
                function=_constants(function),
            )
            blocks = size[0] * size[1] * -(-size[2] // ROWS["masked"])
            self._device.launch("masked", f"masked_{code(source.dtype)}_{code(out.dtype)}", blocks, packed)

    def masked_moments(self, array: Array, nonzero_only: bool) -> Moments:
        """See `Backend.masked_moments`. Raises ValueError where the array is not [C, X, Y, Z] of real numbers."""
        checks.moments(array)
        if array.size == 0:
            return Moments(0, 0.0, 0.0)
        with self._device.section("masked_moments"):
            dense = self._dense(array)
            flat = in_memory_order(dense)
            # float64 sums of other blocks: a card with more multiprocessors may give another last float32 bit
            blocks = min(_MOMENT_BLOCKS * self._device.multiprocessors, -(-dense.size // _MOMENT_THREADS))
            partials = self._device.allocate((blocks, 3), np.float64)
            packed = arguments.packed(
                arguments.MOMENTS,
                values=pointer(flat),
                partials=pointer(partials),
                size=dense.size,
                nonzero=nonzero_only,
                swap=not array.dtype.isnative,
            )
            kind = f"moments_{code(array.dtype)}"
            self._device.launch("statistics", kind, blocks, packed, block=(_MOMENT_THREADS,))
            return _merged(self._device.small_download(partials))


def _identity_tables(source: Array) -> Tables:
    x, y, z = (identity_table(n) for n in source.shape[1:])
    return x, y, z


def _merged(parts: NDArray[np.float64]) -> Moments:
    """Sets of (count, mean, summed squared deviation) as one (Chan, Golub and LeVeque, 1979), in order."""
    count, mean, squares = 0.0, 0.0, 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # of infinite voxels
        for n, own, deviation in parts:
            if n:
                apart = own - mean
                total = count + n
                mean += apart * (n / total)
                squares += deviation + apart * apart * (count * n / total)
                count = total
        return Moments(int(count), float(mean), float(np.sqrt(squares / count))) if count else Moments(0, 0.0, 0.0)


def _constants(function: ClampedAffine) -> tuple[np.float32, ...]:
    """(scale, shift, low, high); what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return tuple(np.float32(x) for x in (function.scale, function.shift, function.low, function.high))
