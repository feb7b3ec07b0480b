"""Linear interpolation along three axes in float64, corner by corner, for arrays of any dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from gpu_infer.backends.cpu.kernels.cache import CACHE

_JOBS = 64
"""Pieces that threads share; each allocates its line buffer once."""


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _add_corners(
    total: Any, src: Any, a: Any, s_k: Any, w_i: Any, w_j: Any, lower: Any, upper: Any, weight: Any
) -> None:
    """total[k] += ((v·w_i)·w_j)·w_k for the two samples v of a source line that output k lies between."""
    for k in range(total.size):
        near = 1.0 - weight[k]
        far = 1.0 - near
        total[k] += ((np.float64(src[np.uintp(a + lower[k] * s_k)]) * w_i) * w_j) * near
        if far != 0.0:
            total[k] += ((np.float64(src[np.uintp(a + upper[k] * s_k)]) * w_i) * w_j) * far


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def interpolate(
    src: Any,
    src_offset: Any,
    src_strides: Any,
    out: Any,
    out_offset: Any,
    out_strides: Any,
    shape: Any,
    lower_i: Any,
    upper_i: Any,
    weight_i: Any,
    lower_j: Any,
    upper_j: Any,
    weight_j: Any,
    lower_k: Any,
    upper_k: Any,
    weight_k: Any,
    rounds: Any,
    low: Any,
    high: Any,
) -> None:
    """out[i, j, k] = Σ over corners of ((v·w_i)·w_j)·w_k, near corners first and k innermost.

    Corners of weight 0 are not added, so that an infinite one cannot leak in. Where `rounds`, halves are rounded
    away from zero and the result is clipped to low … high.
    """
    n_i, n_j, n_k = shape
    s_i, s_j, s_k = src_strides
    d_i, d_j, d_k = out_strides
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
