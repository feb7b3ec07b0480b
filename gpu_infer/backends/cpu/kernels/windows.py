"""Boxes in and out of windows; the caller clips them and cuts them where the ring wraps around."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from gpu_infer.backends.cpu.kernels.cache import CACHE
from gpu_infer.backends.cpu.kernels.half import carried


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def copy_box(
    src: Any, src_offset: Any, src_strides: Any, out: Any, out_offset: Any, out_strides: Any, shape: Any
) -> None:
    """out[c, i, j, k] = src[c, i, j, k] over `shape`; flat buffers of float32 or float16 bits."""
    n_c, n_i, n_j, n_k = shape
    s_c, s_i, s_j, s_k = src_strides
    d_c, d_i, d_j, d_k = out_strides
    for row in prange(n_c * n_i):
        c = row // n_i
        i = row % n_i
        for j in range(n_j):
            a = src_offset + c * s_c + i * s_i + j * s_j
            at = out_offset + c * d_c + i * d_i + j * d_j
            for k in range(n_k):
                out[np.uintp(at + k * d_k)] = carried(src[np.uintp(a + k * s_k)], out)


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def add_box(
    src: Any,
    src_offset: Any,
    src_strides: Any,
    sums: Any,
    sums_offset: Any,
    sums_strides: Any,
    shape: Any,
    repeats: Any,
    weighted: Any,
    weights: Any,
    weights_offset: Any,
    weights_strides: Any,
) -> None:
    """sums[c, i, j, k] += (repeats · weights[i, j, k]) · src[c, i, j, k], with src of float32 or float16 bits.

    `weights` is not read unless `weighted`. Threads share rows, never windows: each sum has one order.
    """
    n_c, n_i, n_j, n_k = shape
    s_c, s_i, s_j, s_k = src_strides
    d_c, d_i, d_j, d_k = sums_strides
    w_i, w_j, w_k = weights_strides
    for row in prange(n_c * n_i):
        c = row // n_i
        i = row % n_i
        for j in range(n_j):
            a = src_offset + c * s_c + i * s_i + j * s_j
            at = sums_offset + c * d_c + i * d_i + j * d_j
            if weighted:
                w = weights_offset + i * w_i + j * w_j
                for k in range(n_k):
                    value = carried(src[np.uintp(a + k * s_k)], sums)
                    sums[np.uintp(at + k * d_k)] += (repeats * weights[np.uintp(w + k * w_k)]) * value
            else:
                for k in range(n_k):
                    sums[np.uintp(at + k * d_k)] += repeats * carried(src[np.uintp(a + k * s_k)], sums)
