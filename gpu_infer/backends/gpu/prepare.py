"""From stored voxels to the model's input, on the GPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.prepare import PrepareOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import ROWS, Operations, slabs
from gpu_infer.backends.gpu.tables import (
    PREPARE_TILES,
    copied_view,
    interpolated_rows,
    plan_walk,
)
from gpu_infer.backends.layout import (
    axis_order,
    code,
    fastest_last,
    in_memory_order,
    is_across,
    output,
    pointer,
    reordered,
    steps,
)
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.types import DeviceArray, Moments, Tables

_SLICES = 4
"""The constant of that name in prepare.cu and turn.cu."""

_TURNED_TILE = 64
"""TILE of turn.cu."""

_MOMENT_THREADS = 256
_MOMENT_BLOCKS = 6
"""Per multiprocessor: as many as its registers suffice for."""


class GpuPrepareOperations(Operations, PrepareOperations):
    """Kernels read either byte order in place."""

    def _resample_linear(
        self, source: DeviceArray, out: DeviceArray, tables: Tables, before: ClampedAffine, after: ClampedAffine
    ) -> None:
        if (view := copied_view(source, tables)) is not None:
            self._turn(view, out, before, after)
        else:
            self._interpolate(source, out, tables, before, after)

    def _interpolate(
        self, source: DeviceArray, out: DeviceArray, tables: Tables, before: ClampedAffine, after: ClampedAffine
    ) -> None:
        with self._device.section("prepare"):
            walk = plan_walk(source, out, tables, interpolated_rows, self._tables, tiles=PREPARE_TILES, slices=_SLICES)
            kind = f"prepare_{'tile' if walk.tile else 'direct'}_{code(source.dtype)}_{code(out.dtype)}"
            walked = self._walked(walk, source, out)
            functions = {"before": before.constants(), "after": after.constants()}
            packed = arguments.packed(arguments.RESAMPLE, **walked, **functions, high=walk.high)
            self._launch_walk("prepare", kind, walk, out, packed)

    def _turn(self, source: DeviceArray, out: DeviceArray, before: ClampedAffine, after: ClampedAffine) -> None:
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
                before=before.constants(),
                after=after.constants(),
                swap=not source.dtype.isnative,
            )
            self._device.launch("turn", f"turn_{kind}_{code(source.dtype)}_{code(out.dtype)}", blocks, packed)

    def _masked_affine(self, source: DeviceArray, out: DeviceArray, function: ClampedAffine) -> None:
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
                function=function.constants(),
            )
            blocks = size[0] * size[1] * -(-size[2] // ROWS["masked"])
            self._device.launch("masked", f"masked_{code(source.dtype)}_{code(out.dtype)}", blocks, packed)

    def _affine_within(self, source: DeviceArray, mask: DeviceArray, out: DeviceArray, function: ClampedAffine) -> None:
        with self._device.section("masked_affine"):
            order = fastest_last(out)
            size = reordered(out.shape, order)
            packed = arguments.packed(
                arguments.WITHIN,
                source=pointer(source),
                mask=pointer(mask),
                out=output(out),
                source_strides=reordered(steps(source), order),
                mask_strides=reordered(steps(mask), order),
                out_strides=reordered(steps(out), order),
                size=size,
                function=function.constants(),
            )
            blocks = size[0] * size[1] * -(-size[2] // ROWS["masked"])
            self._device.launch("masked", f"within_{code(source.dtype)}_{code(out.dtype)}", blocks, packed)

    def _masked_moments(self, array: DeviceArray, nonzero_only: bool) -> Moments:
        with self._device.section("masked_moments"):
            parts = [self._block_moments(slab, nonzero_only) for slab in slabs(array, 1 + fastest_last(array)[0])]
            return _merged(np.concatenate(parts))

    def _block_moments(self, array: DeviceArray, nonzero_only: bool) -> NDArray[np.float64]:
        """Count, mean and summed squared deviation of the elements of each block: [blocks, 3] on the host."""
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
        self._device.launch("statistics", f"moments_{code(array.dtype)}", blocks, packed, block=(_MOMENT_THREADS,))
        return self._device.small_download(partials)


def _merged(parts: NDArray[np.float64]) -> Moments:
    """Sets of (count, mean, summed squared deviation) as one (Chan, Golub and LeVeque, 1979), in order."""
    count, mean, squares = 0.0, 0.0, 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # of infinite voxels
        for n, part_mean, deviation in parts:
            if n:
                distance = part_mean - mean
                total = count + n
                mean += distance * (n / total)
                squares += deviation + distance * distance * (count * n / total)
                count = total
        return Moments(int(count), float(mean), float(np.sqrt(squares / count))) if count else Moments(0, 0.0, 0.0)
