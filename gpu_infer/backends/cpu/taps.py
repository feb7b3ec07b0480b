"""Resampling by more neighbours than two per axis, on the CPU."""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.base.taps import TapOperations
from gpu_infer.backends.cpu.kernels.bits import as_bits, is_half
from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import frozen, native, reading, writing
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.taps import TablePart
from gpu_infer.backends.types import HostArray

_CHUNKS_PER_THREAD = 4


class CpuTapOperations(TapOperations):
    """The kernel reads native numbers: a foreign byte order is converted as a whole first."""

    def _taps_along(
        self,
        source: HostArray,
        out: HostArray,
        axis: int,
        part: TablePart,
        before: ClampedAffine,
        after: ClampedAffine,
    ) -> None:
        import numba

        from gpu_infer.backends.cpu.kernels.taps import taps_along

        m, w = _line_axes(source, out, axis)
        axes = (m, w, axis)
        table = part.table.part(part.start, part.size)
        src, dst = reading(as_bits(native(source)).transpose(axes)), writing(as_bits(out).transpose(axes))
        sizes = (source.shape[m], source.shape[w], table.weights.shape[1], numba.get_num_threads() * _CHUNKS_PER_THREAD)
        entries = (frozen(table.first - np.int32(part.base)), frozen(table.count), frozen(table.weights.reshape(-1)))
        with LAUNCH:
            taps_along(src, dst, sizes, entries, (before.constants(), after.constants()), is_half(source.dtype))


def _line_axes(source: HostArray, out: HostArray, axis: int) -> tuple[int, int]:
    """The outer axis, and the axis whose neighbouring lines are worked on together: the source's fastest, or the
    output's if the lines themselves are the source's fastest."""
    others = [a for a in range(3) if a != axis]

    def step(array: HostArray, a: int) -> float:
        return abs(array.strides[a]) if array.shape[a] > 1 else float("inf")

    guide = out if step(source, axis) < min(step(source, a) for a in others) else source
    w = min(others, key=lambda a: step(guide, a))
    return 3 - axis - w, w
