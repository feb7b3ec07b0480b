"""Divide sums of windows by how often, or with which weights, windows cover a voxel; in place, line by line."""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.jit import Buffer, compiled, helper
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape

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
def _of_axis(axis: int, i: int, j: int, k: int) -> int:
    return i if axis == 0 else j if axis == 1 else k


@helper
def _add_totals(
    total: Buffer,
    length: int,
    i: int,
    starts: Three,
    repeats: Three,
    order: Shape,
    importance: Flat,
    roi: Shape,
) -> None:
    """total[j · length + k] = Σ repeats · weights of the windows that cover (i, j, k), last of `order` fastest.

    All lines of a plane in one call: it counts references to its arrays, which takes longer than a line.
    """
    weights, weights_offset, (w_i, w_j, w_k) = importance
    starts_i, starts_j, starts_k = starts
    repeats_i, repeats_j, repeats_k = repeats
    slow, middle, fast = order
    a_first, a_end = _covering(starts_i, roi[0], i)
    b_first, b_end, c_end = 0, 0, len(starts_k)
    total[:] = 0
    for j in range(len(total) // length):
        while b_first < len(starts_j) and starts_j[b_first] <= j - roi[1]:
            b_first += 1
        while b_end < len(starts_j) and starts_j[b_end] <= j:
            b_end += 1
        at = j * length
        for u in range(_of_axis(slow, a_first, b_first, 0), _of_axis(slow, a_end, b_end, c_end)):
            for v in range(_of_axis(middle, a_first, b_first, 0), _of_axis(middle, a_end, b_end, c_end)):
                for w in range(_of_axis(fast, a_first, b_first, 0), _of_axis(fast, a_end, b_end, c_end)):
                    a = u if slow == 0 else v if middle == 0 else w
                    b = u if slow == 1 else v if middle == 1 else w
                    c = u if slow == 2 else v if middle == 2 else w
                    times = np.float32(repeats_i[a] * repeats_j[b] * repeats_k[c])
                    z = starts_k[c]
                    line = weights_offset + (i - starts_i[a]) * w_i + (j - starts_j[b]) * w_j - z * w_k
                    for k in range(max(z, 0), min(z + roi[2], length)):
                        total[np.uintp(at + k)] += times * weights[np.uintp(line + k * w_k)]


@compiled(parallel=True, error_model="numpy")
def divide_by_weights(
    sums: Buffer,
    shape: Shape,
    starts: Three,
    repeats: Three,
    order: Shape,
    importance: Flat,
    roi: Shape,
    places: tuple[Buffer, Buffer],
    planes: Buffer,
    jobs: int,
) -> None:
    """sums[r, i, j, k] /= the sum of repeats · weights over the windows that cover (i, j, k), of contiguous sums.

    Each product and sum of weights is rounded to float32, in the order of windows.

    starts, repeats  of the windows along each axis; the first two axes may be short (`places`)
    order            axes, that along which windows follow each other fastest last
    places           for each index of the first two axes, the index of its short axis that has its total
    planes           indices of the first axis, in the order of their places: planes that follow each other share totals
    jobs             pieces that threads share
    """
    n_r, n_i, n_j, n_k = shape
    places_i, places_j = places
    weights, weights_offset, weights_strides = importance
    short_j = places_j.max() + 1
    for job in prange(jobs):
        total = np.empty(short_j * n_k, np.float32)
        last = -1
        for p in range(job * n_i // jobs, (job + 1) * n_i // jobs):
            plane = planes[p]
            i = places_i[plane]
            if i != last:
                flat = Flat(weights, weights_offset, weights_strides)
                _add_totals(total, n_k, i, starts, repeats, order, flat, roi)
                last = i
            for r in range(n_r):
                for j in range(n_j):
                    at = ((r * n_i + plane) * n_j + j) * n_k
                    t = places_j[j] * n_k
                    for k in range(n_k):
                        sums[np.uintp(at + k)] /= total[np.uintp(t + k)]
