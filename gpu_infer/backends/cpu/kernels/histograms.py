"""Histograms of values, and functions of a value by points."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape

_JOBS = 16
"""Pieces that threads share; each has its own table."""


@helper
def _interval(x: float, points: Buffer, scale: float) -> int:
    """Last j of 0 … n − 2 with points[j] ≤ x, or 0. Points are nearly even: `scale` intervals per unit."""
    last = points.size - 2
    guess = (np.float64(x) - points[0]) * scale
    j = 0 if not guess > 0 else last if guess >= last else int(guess)
    while j > 0 and x < points[j]:
        j -= 1
    while j < last and x >= points[j + 1]:
        j += 1
    return j


@kernel
def count_bins(source: Flat, shape: Shape, edges: Buffer) -> NDArray[np.int64]:
    """int64 [n]: the numbers between n + 1 edges, the upper one of the last bin included."""
    src, offset, (s_a, s_b, s_c, s_d) = source
    n_a, n_b, n_c, n_d = shape
    lines, bins = n_a * n_b * n_c, edges.size - 1
    low, high = edges[0], edges[bins]
    scale = bins / (np.float64(high) - np.float64(low))
    tables = np.zeros((_JOBS, bins), np.int64)
    for job in prange(_JOBS):
        table = tables[job]
        for line in range(job * lines // _JOBS, (job + 1) * lines // _JOBS):
            base = offset + line // n_c // n_b * s_a + line // n_c % n_b * s_b + line % n_c * s_c
            for d in range(n_d):
                x = src[np.uintp(base + d * s_d)]
                if low <= x <= high:
                    table[_interval(x, edges, scale)] += 1
    counts: NDArray[np.int64] = tables.sum(axis=0)
    return counts


@kernel
def map_values(source: Flat, out: Flat, shape: Shape, points: Buffer, values: Buffer, slopes: Buffer) -> None:
    """out = the function of `source` whose value at points[j] is values[j], linear between points, even outside."""
    src, src_offset, (r_a, r_b, r_c, r_d) = source
    dst, dst_offset, (w_a, w_b, w_c, w_d) = out
    n_a, n_b, n_c, n_d = shape
    last = points.size - 1
    scale = last / (points[last] - points[0]) if last else 0.0
    for job in prange(n_a * n_b):
        read = src_offset + job // n_b * r_a + job % n_b * r_b
        write = dst_offset + job // n_b * w_a + job % n_b * w_b
        for c in range(n_c):
            for d in range(n_d):
                x = np.float64(src[np.uintp(read + c * r_c + d * r_d)])
                if not x > points[0]:
                    y = values[0]
                elif x >= points[last]:
                    y = values[last]
                else:
                    j = _interval(x, points, scale)
                    y = slopes[j] * (x - points[j]) + values[j]
                dst[np.uintp(write + c * w_c + d * w_d)] = y
