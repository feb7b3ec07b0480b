"""From summed scores to labels or mean scores: lines of voxels innermost, channels outside of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from gpu_infer.backends.cpu.kernels.cache import CACHE

_JOBS = 64
"""Pieces that threads share."""


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _argmax_lines(
    scores: Any,
    origin: Any,
    strides: Any,
    labels: Any,
    labels_origin: Any,
    labels_strides: Any,
    shape: Any,
    job: Any,
    clear: Any,
) -> int:
    """labels[i, j, k] = first c with the greatest scores[c, i, j, k], for this job's share of the lines (i, j).

    `clear` is None, or the same buffer as `scores`, whose line then becomes zero while it is in the cache. Returns how
    many of the scores are NaN.
    """
    channels, n_i, n_j, n_k = shape
    s_c, s_i, s_j, s_k = strides
    d_i, d_j, d_k = labels_strides
    best = np.empty(n_k, scores.dtype)
    found = np.empty(n_k, np.int32)
    nans = 0
    for line in range(job * n_i * n_j // _JOBS, (job + 1) * n_i * n_j // _JOBS):
        i = line // n_j
        j = line % n_j
        a = origin + i * s_i + j * s_j
        for k in range(n_k):
            best[k] = scores[np.uintp(a + k * s_k)]
            found[k] = 0
            nans += best[k] != best[k]
        for c in range(1, channels):
            b = a + c * s_c
            for k in range(n_k):
                value = scores[np.uintp(b + k * s_k)]
                nans += value != value
                better = value > best[k]
                best[k] = value if better else best[k]
                found[k] = c if better else found[k]
        at = labels_origin + i * d_i + j * d_j
        for k in range(n_k):
            labels[np.uintp(at + k * d_k)] = found[k]
        # None is a type to Numba: without sums to clear, this is not compiled
        if clear is not None:
            for c in range(channels):
                for k in range(n_k):
                    clear[np.uintp(a + c * s_c + k * s_k)] = 0
    return nans


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def argmax_box(
    scores: Any,
    scores_offset: Any,
    scores_strides: Any,
    labels: Any,
    labels_offset: Any,
    labels_strides: Any,
    shape: Any,
) -> None:
    """labels[i, j, k] = argmax over c of scores[c, i, j, k]; shape is (channels, i, j, k)."""
    for job in prange(_JOBS):
        _argmax_lines(scores, scores_offset, scores_strides, labels, labels_offset, labels_strides, shape, job, None)


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def argmax_box_and_clear(
    sums: Any,
    sums_offset: Any,
    sums_strides: Any,
    labels: Any,
    labels_offset: Any,
    labels_strides: Any,
    shape: Any,
) -> int:
    """`argmax_box`, and the sums become zero; returns how many of them are NaN."""
    nans = 0
    for job in prange(_JOBS):
        nans += _argmax_lines(sums, sums_offset, sums_strides, labels, labels_offset, labels_strides, shape, job, sums)
    return nans


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def mean_box_and_clear(
    sums: Any,
    sums_offset: Any,
    sums_strides: Any,
    scores: Any,
    scores_offset: Any,
    scores_strides: Any,
    shape: Any,
    counts_i: Any,
    counts_j: Any,
    counts_k: Any,
    cuts: Any,
) -> int:
    """scores[c, i, j, k] = sums[c, i, j, k] / ((counts_i[i] · counts_j[j]) · counts_k[k]); the sums become zero.

    Where `cuts` is not None, 1 where that is > cuts[c], else 0. Returns how many of the sums are NaN.
    """
    nans = 0
    channels, n_i, n_j, n_k = shape
    s_c, s_i, s_j, s_k = sums_strides
    d_c, d_i, d_j, d_k = scores_strides
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
                if cuts is None:
                    scores[np.uintp(at + k * d_k)] = mean
                else:
                    scores[np.uintp(at + k * d_k)] = mean > cuts[c]
                sums[np.uintp(a + k * s_k)] = 0
    return nans


# error_model: where a weight is 0 the quotient is NaN or infinite, and nothing is raised out of a thread
@njit(parallel=True, nogil=True, cache=CACHE, error_model="numpy")  # type: ignore[untyped-decorator]
def weighted_mean_box_and_clear(
    sums: Any,
    sums_offset: Any,
    sums_strides: Any,
    weights: Any,
    weights_offset: Any,
    weights_strides: Any,
    scores: Any,
    scores_offset: Any,
    scores_strides: Any,
    shape: Any,
    cuts: Any,
) -> int:
    """scores[c, i, j, k] = sums[c, i, j, k] / weights[i, j, k]; sums and weights become zero.

    Where `cuts` is not None, 1 where that is > cuts[c], else 0. Returns how many of the sums are NaN.
    """
    nans = 0
    channels, n_i, n_j, n_k = shape
    s_c, s_i, s_j, s_k = sums_strides
    w_i, w_j, w_k = weights_strides
    d_c, d_i, d_j, d_k = scores_strides
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
                if cuts is None:
                    scores[np.uintp(at + c * d_c + k * d_k)] = mean
                else:
                    scores[np.uintp(at + c * d_c + k * d_k)] = mean > cuts[c]
                sums[np.uintp(a + c * s_c + k * s_k)] = 0
        for k in range(n_k):
            weights[np.uintp(w + k * w_k)] = 0
    return nans
