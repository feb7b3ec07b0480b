"""Divide sums of windows by how often, or with which weights, windows cover a voxel; in place, line by line."""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.jit import Buffer, compiled, helper
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape

_JOBS = 64
"""Pieces that threads share."""

Three = tuple[Buffer, Buffer, Buffer]
"""One table per axis."""


# error_model: a weight of 0 gives a quotient that is NaN or infinite, and no thread raises an error
@compiled(parallel=True, error_model="numpy")
def divide_by_counts(sums: Buffer, shape: Shape, counts: Three, runs: Buffer) -> None:
    """sums[r, i, j, k] /= (counts_i[i] · counts_j[j]) · counts_k[k], of contiguous sums.

    runs  [N, 2]: first and last + 1 index of each run of counts_k that are not 1. Voxels of count 1 are not touched
    """
    n_r, n_i, n_j, n_k = shape
    counts_i, counts_j, counts_k = counts
    for row in prange(n_r * n_i):
        for j in range(n_j):
            at = (row * n_j + j) * n_k
            count = counts_i[row % n_i] * counts_j[j]
            if count != 1:
                for k in range(n_k):
                    sums[np.uintp(at + k)] /= count * counts_k[k]
                continue
            for run in range(len(runs)):
                for k in range(runs[run, 0], runs[run, 1]):
                    sums[np.uintp(at + k)] /= counts_k[k]


@helper
def _covering(starts: Buffer, length: int, voxel: int) -> tuple[int, int]:
    """First and last + 1 of the windows that cover a voxel; `starts` ascend."""
    first, end = 0, 0
    for start in starts:
        first += start <= voxel - length
        end += start <= voxel
    return first, end


@helper
def _total_line(
    total: Buffer, i: int, j: int, starts: Three, repeats: Three, order: Shape, importance: Flat, roi: Shape
) -> None:
    """total[k] = Σ repeats · weights over the windows that cover (i, j, k), the last axis of `order` fastest."""
    weights, weights_offset, (w_i, w_j, w_k) = importance
    starts_i, starts_j, starts_k = starts
    repeats_i, repeats_j, repeats_k = repeats
    a_first, a_end = _covering(starts_i, roi[0], i)
    b_first, b_end = _covering(starts_j, roi[1], j)
    first, end = (a_first, b_first, 0), (a_end, b_end, len(starts_k))
    slow, middle, fast = order
    at = np.empty(3, np.int64)
    total[:] = 0
    for u in range(first[slow], end[slow]):
        for v in range(first[middle], end[middle]):
            for w in range(first[fast], end[fast]):
                at[slow], at[middle], at[fast] = u, v, w
                a, b, c = at[0], at[1], at[2]
                times = np.float32(repeats_i[a] * repeats_j[b] * repeats_k[c])
                z = starts_k[c]
                line = weights_offset + (i - starts_i[a]) * w_i + (j - starts_j[b]) * w_j - z * w_k
                for k in range(max(z, 0), min(z + roi[2], len(total))):
                    total[np.uintp(k)] += times * weights[np.uintp(line + k * w_k)]


@compiled(parallel=True, error_model="numpy")
def divide_by_weights(
    sums: Buffer,
    shape: Shape,
    starts: Three,
    repeats: Three,
    order: Shape,
    importance: Flat,
    roi: Shape,
    lines: tuple[Buffer, Buffer],
    bounds: tuple[Buffer, Buffer],
) -> None:
    """sums[r, i, j, k] /= the sum of repeats · weights over the windows that cover (i, j, k), of contiguous sums.

    Each product and sum of weights is rounded to float32, in the order of windows.

    starts, repeats  of the windows along each axis; the first two axes may be short (`lines`)
    order            axes, that along which windows follow each other fastest last
    lines, bounds    for the first two axes: the indices that have the total of index n of a short axis are
                     lines[bounds[n]:bounds[n + 1]]
    """
    n_r, n_i, n_j, n_k = shape
    lines_i, lines_j = lines
    bounds_i, bounds_j = bounds
    weights, weights_offset, weights_strides = importance
    short_j = len(bounds_j) - 1
    count = (len(bounds_i) - 1) * short_j
    for job in prange(_JOBS):
        total = np.empty(n_k, np.float32)
        for line in range(job * count // _JOBS, (job + 1) * count // _JOBS):
            i, j = line // short_j, line % short_j
            _total_line(total, i, j, starts, repeats, order, Flat(weights, weights_offset, weights_strides), roi)
            for p in range(bounds_i[i], bounds_i[i + 1]):
                for q in range(bounds_j[j], bounds_j[j + 1]):
                    for r in range(n_r):
                        at = ((r * n_i + lines_i[p]) * n_j + lines_j[q]) * n_k
                        for k in range(n_k):
                            sums[np.uintp(at + k)] /= total[np.uintp(k)]
