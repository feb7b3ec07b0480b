"""Linear interpolation along three axes in float64, corner by corner, for arrays of any dtype."""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, FlatTables, Shape

_JOBS = 64
"""Pieces that threads share; each allocates its line buffer once."""


@helper
def _add_corners(
    total: Buffer,
    src: Buffer,
    a: int,
    s_k: int,
    w_i: float,
    w_j: float,
    lower: Buffer,
    upper: Buffer,
    weight: Buffer,
) -> None:
    """total[k] += ((v·w_i)·w_j)·w_k for the two samples v of a source line next to output k."""
    for k in range(total.size):
        near = 1.0 - weight[k]
        far = 1.0 - near
        total[k] += ((np.float64(src[np.uintp(a + lower[k] * s_k)]) * w_i) * w_j) * near
        if far != 0.0:
            total[k] += ((np.float64(src[np.uintp(a + upper[k] * s_k)]) * w_i) * w_j) * far


@kernel
def interpolate(
    source: Flat, output: Flat, shape: Shape, tables: FlatTables, rounds: bool, limits: tuple[float, float]
) -> None:
    """out[i, j, k] = Σ over corners of ((v·w_i)·w_j)·w_k, near corners first and k innermost.

    Corners of weight 0 are not added, so that an infinite one cannot leak in. If `rounds`, halves are rounded away from
    zero and the result is clipped to the limits.
    """
    src, src_offset, (s_i, s_j, s_k) = source
    out, out_offset, (d_i, d_j, d_k) = output
    (lower_i, upper_i, weight_i), (lower_j, upper_j, weight_j), (lower_k, upper_k, weight_k) = tables
    n_i, n_j, n_k = shape
    low, high = limits
    lines = n_i * n_j
    for job in prange(_JOBS):
        total = np.empty(n_k, np.float64)
        for line in range(job * lines // _JOBS, (job + 1) * lines // _JOBS):
            i = line // n_j
            j = line % n_j
            total[:] = 0.0
            near_i = 1.0 - weight_i[i]
            near_j = 1.0 - weight_j[j]
            far_i = 1.0 - near_i
            far_j = 1.0 - near_j
            a = src_offset + lower_i[i] * s_i
            b = src_offset + upper_i[i] * s_i
            _add_corners(total, src, a + lower_j[j] * s_j, s_k, near_i, near_j, lower_k, upper_k, weight_k)
            if far_j != 0.0:
                _add_corners(total, src, a + upper_j[j] * s_j, s_k, near_i, far_j, lower_k, upper_k, weight_k)
            if far_i != 0.0:
                _add_corners(total, src, b + lower_j[j] * s_j, s_k, far_i, near_j, lower_k, upper_k, weight_k)
                if far_j != 0.0:
                    _add_corners(total, src, b + upper_j[j] * s_j, s_k, far_i, far_j, lower_k, upper_k, weight_k)
            at = out_offset + i * d_i + j * d_j
            if rounds:
                for k in range(n_k):
                    value = total[k] + 0.5 if total[k] > 0.0 else total[k] - 0.5
                    value = min(max(np.trunc(value), low), high)
                    out[np.uintp(at + k * d_k)] = value
            else:
                for k in range(n_k):
                    out[np.uintp(at + k * d_k)] = total[k]
