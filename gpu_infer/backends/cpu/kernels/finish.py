"""Labels or mean scores of summed scores. The innermost loop is over a line of voxels, the next one over channels."""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.jit import Buffer, compiled, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape

_JOBS = 64
"""Pieces that threads share."""


@helper
def _argmax_lines(source: Flat, output: Flat, shape: Shape, job: int, clear: Buffer | None) -> int:
    """labels[i, j, k] = first c with the greatest scores[c, i, j, k], for this job's share of the lines (i, j).

    `clear` is None, or the buffer of `source`, whose line then becomes zero while it is in the cache. Returns the
    number of scores that are NaN.
    """
    scores, origin, (s_c, s_i, s_j, s_k) = source
    labels, labels_origin, (d_i, d_j, d_k) = output
    channels, n_i, n_j, n_k = shape
    best = np.empty(n_k, scores.dtype)
    winners = np.empty(n_k, np.int32)
    nans = 0
    for line in range(job * n_i * n_j // _JOBS, (job + 1) * n_i * n_j // _JOBS):
        i = line // n_j
        j = line % n_j
        a = origin + i * s_i + j * s_j
        for k in range(n_k):
            best[k] = scores[np.uintp(a + k * s_k)]
            winners[k] = 0
            nans += best[k] != best[k]
        for c in range(1, channels):
            b = a + c * s_c
            for k in range(n_k):
                value = scores[np.uintp(b + k * s_k)]
                nans += value != value
                better = value > best[k]
                best[k] = value if better else best[k]
                winners[k] = c if better else winners[k]
        at = labels_origin + i * d_i + j * d_j
        for k in range(n_k):
            labels[np.uintp(at + k * d_k)] = winners[k]
        # None is a type to Numba: without sums to clear, this is not compiled
        if clear is not None:
            for c in range(channels):
                for k in range(n_k):
                    clear[np.uintp(a + c * s_c + k * s_k)] = 0
    return nans


@kernel
def argmax_box(scores: Flat, labels: Flat, shape: Shape) -> None:
    """labels[i, j, k] = argmax over c of scores[c, i, j, k]; shape is (channels, i, j, k)."""
    source, origin, strides = scores
    output, labels_origin, labels_strides = labels
    for job in prange(_JOBS):
        read, written = Flat(source, origin, strides), Flat(output, labels_origin, labels_strides)
        _argmax_lines(read, written, shape, job, None)


@kernel
def argmax_box_and_clear(sums: Flat, labels: Flat, shape: Shape) -> int:
    """`argmax_box`, and the sums become zero. Returns the number of sums that are NaN."""
    source, origin, strides = sums
    output, labels_origin, labels_strides = labels
    nans = 0
    for job in prange(_JOBS):
        read, written = Flat(source, origin, strides), Flat(output, labels_origin, labels_strides)
        nans += _argmax_lines(read, written, shape, job, source)
    return nans


@kernel
def mean_box_and_clear(
    accumulator: Flat,
    output: Flat,
    shape: Shape,
    counts: tuple[Buffer, Buffer, Buffer],
    thresholds: Buffer | None,
) -> int:
    """scores[c, i, j, k] = sums[c, i, j, k] / ((counts_i[i] · counts_j[j]) · counts_k[k]); the sums become zero.

    With `thresholds`, 1 if that is > thresholds[c], else 0. Returns the number of sums that are NaN.
    """
    sums, sums_offset, (s_c, s_i, s_j, s_k) = accumulator
    scores, scores_offset, (d_c, d_i, d_j, d_k) = output
    counts_i, counts_j, counts_k = counts
    channels, n_i, n_j, n_k = shape
    nans = 0
    for row in prange(channels * n_i):
        c = row // n_i
        i = row % n_i
        for j in range(n_j):
            a = sums_offset + c * s_c + i * s_i + j * s_j
            at = scores_offset + c * d_c + i * d_i + j * d_j
            count = counts_i[i] * counts_j[j]
            for k in range(n_k):
                value = sums[np.uintp(a + k * s_k)]
                nans += value != value
                mean = value / (count * counts_k[k])
                # None is a type to Numba: scores and masks are two functions
                if thresholds is None:
                    scores[np.uintp(at + k * d_k)] = mean
                else:
                    scores[np.uintp(at + k * d_k)] = mean > thresholds[c]
                sums[np.uintp(a + k * s_k)] = 0
    return nans


# error_model: a weight of 0 gives a quotient that is NaN or infinite, and no thread raises an error
@compiled(parallel=True, error_model="numpy")
def weighted_mean_box_and_clear(
    accumulator: Flat, total: Flat, output: Flat, shape: Shape, thresholds: Buffer | None
) -> int:
    """scores[c, i, j, k] = sums[c, i, j, k] / weights[i, j, k]; sums and weights become zero.

    With `thresholds`, 1 if that is > thresholds[c], else 0. Returns the number of sums that are NaN.
    """
    sums, sums_offset, (s_c, s_i, s_j, s_k) = accumulator
    weights, weights_offset, (w_i, w_j, w_k) = total
    scores, scores_offset, (d_c, d_i, d_j, d_k) = output
    channels, n_i, n_j, n_k = shape
    nans = 0
    for line in prange(n_i * n_j):
        i = line // n_j
        j = line % n_j
        a = sums_offset + i * s_i + j * s_j
        at = scores_offset + i * d_i + j * d_j
        w = weights_offset + i * w_i + j * w_j
        for c in range(channels):
            for k in range(n_k):
                value = sums[np.uintp(a + c * s_c + k * s_k)]
                nans += value != value
                mean = value / weights[np.uintp(w + k * w_k)]
                if thresholds is None:
                    scores[np.uintp(at + c * d_c + k * d_k)] = mean
                else:
                    scores[np.uintp(at + c * d_c + k * d_k)] = mean > thresholds[c]
                sums[np.uintp(a + c * s_c + k * s_k)] = 0
        for k in range(n_k):
            weights[np.uintp(w + k * w_k)] = 0
    return nans
