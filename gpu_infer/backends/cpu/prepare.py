"""From stored voxels to the model's input, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.prepare import PrepareOperations
from gpu_infer.backends.cpu.kernels.bits import as_bits, is_half
from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import FlatTable, flat_tables, frozen, native, reading, writing
from gpu_infer.backends.cpu.kernels.walk import plan_axis_walk
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.types import HostArray, Moments, Tables

LineTable = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""lower, upper, weight of every output index: out = (1 − weight)·in[lower] + weight·in[upper]."""


class CpuPrepareOperations(PrepareOperations):
    """Kernels read native numbers: a foreign byte order is converted as a whole first (`upload` does so once)."""

    def _resample_linear(
        self, source: HostArray, out: HostArray, tables: Tables, before: ClampedAffine, after: ClampedAffine
    ) -> None:
        from gpu_infer.backends.cpu.kernels.prepare import resample

        source = native(source)
        walk = plan_axis_walk(source, out, tables, scratch_itemsize=4, condense=True)
        src, dst = reading(as_bits(source).transpose(walk.axes)), writing(as_bits(out).transpose(walk.axes))
        functions = (before.constants(), after.constants())
        with LAUNCH:
            resample(
                src, dst, walk.sizes, frozen(walk.used), flat_tables(walk.tables), functions, is_half(source.dtype)
            )

    def _resample_nearest(self, source: HostArray, out: HostArray, tables: Tables) -> None:
        from gpu_infer.backends.cpu.kernels.pick import pick

        walk = plan_axis_walk(source, out, tables, scratch_itemsize=out.dtype.itemsize)
        src, dst = reading(source.transpose(walk.axes)), writing(out.transpose(walk.axes))
        o, p, q = (frozen(t.lower) for t in walk.tables)
        with LAUNCH:
            pick(src, dst, walk.sizes, (o, p, q))

    def _masked_moments(self, array: HostArray, nonzero_only: bool) -> Moments:
        from gpu_infer.backends.cpu.kernels import statistics

        half, array = is_half(array.dtype), as_bits(native(array))
        view = array.transpose(np.argsort([-abs(s) for s in array.strides], kind="stable"))
        with LAUNCH:
            count, mean, squares = statistics.moments(reading(view), view.shape, nonzero_only, half)
        return Moments(int(count), float(mean), float(np.sqrt(squares / count))) if count else Moments(0, 0.0, 0.0)

    def _masked_affine(self, source: HostArray, out: HostArray, function: ClampedAffine) -> None:
        from gpu_infer.backends.cpu.kernels import statistics

        axes = np.argsort([-abs(s) for s in out.strides], kind="stable")
        src, dst = (as_bits(array).transpose(axes) for array in (source, out))
        with LAUNCH:
            statistics.affine_nonzero(
                reading(src), writing(dst), dst.shape, function.constants(), is_half(source.dtype)
            )

    def _affine_within(self, source: HostArray, mask: HostArray, out: HostArray, function: ClampedAffine) -> None:
        from gpu_infer.backends.cpu.kernels import statistics

        axes = np.argsort([-abs(s) for s in out.strides], kind="stable")
        src, inside, dst = (as_bits(array).transpose(axes) for array in (source, mask, out))
        with LAUNCH:
            statistics.affine_within(
                reading(src), reading(inside), writing(dst), dst.shape, function.constants(), is_half(source.dtype)
            )

    def interpolate(self, source: HostArray, out: HostArray, tables: Sequence[LineTable]) -> None:
        """out = source read linearly through one table per axis, in float64. On the CPU only, for `gpu_infer.zoom`.

        Every voxel is that of SciPy's order 1 to the last bit. Integers are rounded, halves away from zero; unsigned
        ones are clipped to their range.

        Args:
            source: [I', J', K'] of any real dtype.
            out: [I, J, K] of any real dtype but float16.
            tables: One per axis, with I, J and K entries.
        """
        from gpu_infer.backends.cpu.kernels.zoom import interpolate

        source = source.view(np.uint8) if source.dtype == np.bool_ else source
        if is_half(source.dtype):
            source = source.astype(np.float32, order="K")
        rounds = out.dtype.kind in "iu"
        limits = (0.0, float(np.iinfo(out.dtype).max)) if out.dtype.kind == "u" else (-np.inf, np.inf)
        i, j, k = (FlatTable(*(frozen(entry) for entry in table)) for table in tables)
        with LAUNCH:
            interpolate(reading(source), writing(out), out.shape, (i, j, k), rounds, limits)
