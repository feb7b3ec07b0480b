"""From summed scores to labels or mean scores: lines of voxels innermost, channels outside of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from ..numba_cache import CACHE

_JOBS = 64
"""Pieces that threads share; each allocates its line buffers once."""


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _argmax_line(
    scores: Any,
    a: Any,
    s_c: Any,
    step: Any,
    channels: Any,
    best: Any,
    found: Any,
    labels: Any,
    at: Any,
    d: Any,
) -> None:
    """labels[at + i·d] = first c with the greatest scores[a + c·s_c + i·step]."""
    n = best.size
    for i in range(n):
        best[i] = scores[np.uintp(a + i * step)]
        found[i] = 0
    for c in range(1, channels):
        base = a + c * s_c
        for i in range(n):
            value = scores[np.uintp(base + i * step)]
            better = value > best[i]
            best[i] = value if better else best[i]
            found[i] = c if better else found[i]
    for i in range(n):
        labels[np.uintp(at + i * d)] = found[i]


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
    channels, n_i, n_j, n_k = shape
    s_c, s_i, s_j, s_k = scores_strides
    d_i, d_j, d_k = labels_strides
    lines = n_i * n_j
    for job in prange(_JOBS):
        best = np.empty(n_k, scores.dtype)
        found = np.empty(n_k, np.int32)
        for line in range(job * lines // _JOBS, (job + 1) * lines // _JOBS):
            i = line // n_j
            j = line % n_j
            a = scores_offset + i * s_i + j * s_j
            at = labels_offset + i * d_i + j * d_j
            _argmax_line(scores, a, s_c, s_k, channels, best, found, labels, at, d_k)


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def argmax_box_and_clear(
    sums: Any,
    sums_offset: Any,
    sums_strides: Any,
    labels: Any,
    labels_offset: Any,
    labels_strides: Any,
    shape: Any,
) -> None:
    """`argmax_box`, and the sums become zero while they are still in the cache."""
    channels, n_i, n_j, n_k = shape
    s_c, s_i, s_j, s_k = sums_strides
    d_i, d_j, d_k = labels_strides
    lines = n_i * n_j
    for job in prange(_JOBS):
        best = np.empty(n_k, sums.dtype)
        found = np.empty(n_k, np.int32)
        for line in range(job * lines // _JOBS, (job + 1) * lines // _JOBS):
            i = line // n_j
            j = line % n_j
            a = sums_offset + i * s_i + j * s_j
            at = labels_offset + i * d_i + j * d_j
            _argmax_line(sums, a, s_c, s_k, channels, best, found, labels, at, d_k)
            for c in range(channels):
                for k in range(n_k):
                    sums[np.uintp(a + c * s_c + k * s_k)] = 0


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
) -> None:
    """scores[c, i, j, k] = sums[c, i, j, k] / ((counts_i[i] · counts_j[j]) · counts_k[k]); the sums become zero."""
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
                scores[np.uintp(at + k * d_k)] = sums[np.uintp(a + k * s_k)] / (count * counts_k[k])
                sums[np.uintp(a + k * s_k)] = 0
