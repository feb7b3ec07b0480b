"""Copy boxes of voxels, and add boxes of scores to the rolling sums. The caller clips boxes, and splits them at the
ends of the rolling sums."""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.half import converted
from gpu_infer.backends.cpu.kernels.jit import kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape


@kernel
def copy_box(source: Flat, output: Flat, shape: Shape) -> None:
    """out[c, i, j, k] = src[c, i, j, k] over `shape`, float32 or float16 bits."""
    src, src_offset, (s_c, s_i, s_j, s_k) = source
    out, out_offset, (d_c, d_i, d_j, d_k) = output
    n_c, n_i, n_j, n_k = shape
    for row in prange(n_c * n_i):
        c = row // n_i
        i = row % n_i
        for j in range(n_j):
            a = src_offset + c * s_c + i * s_i + j * s_j
            at = out_offset + c * d_c + i * d_i + j * d_j
            for k in range(n_k):
                out[np.uintp(at + k * d_k)] = converted(src[np.uintp(a + k * s_k)], out)


@kernel
def add_box(
    source: Flat, accumulator: Flat, shape: Shape, repeats: np.float32, weighted: bool, importance: Flat
) -> None:
    """sums[c, i, j, k] += (repeats · weights[i, j, k]) · src[c, i, j, k], with src of float32 or float16 bits.

    `importance` is not read unless `weighted`. Threads share rows, never windows: each sum has one order.
    """
    src, src_offset, (s_c, s_i, s_j, s_k) = source
    sums, sums_offset, (d_c, d_i, d_j, d_k) = accumulator
    weights, weights_offset, (w_i, w_j, w_k) = importance
    n_c, n_i, n_j, n_k = shape
    for row in prange(n_c * n_i):
        c = row // n_i
        i = row % n_i
        for j in range(n_j):
            a = src_offset + c * s_c + i * s_i + j * s_j
            at = sums_offset + c * d_c + i * d_i + j * d_j
            if weighted:
                w = weights_offset + i * w_i + j * w_j
                for k in range(n_k):
                    value = converted(src[np.uintp(a + k * s_k)], sums)
                    sums[np.uintp(at + k * d_k)] += (repeats * weights[np.uintp(w + k * w_k)]) * value
            else:
                for k in range(n_k):
                    sums[np.uintp(at + k * d_k)] += repeats * converted(src[np.uintp(a + k * s_k)], sums)
