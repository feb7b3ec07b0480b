"""Counting labels, and replacing them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from gpu_infer.backends.cpu.kernels.cache import CACHE

_JOBS = 16
"""Pieces that threads share; each has a table of its own."""


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def count_labels(labels: Any, classes: Any) -> Any:
    """int64 [classes]: how often each value occurs in the flat array `labels`, all below `classes`.

    Runs are counted before the table is touched: neighbours mostly share a label, and an increment that
    waits for the one before it costs more than the comparison.
    """
    tables = np.zeros((_JOBS, classes), np.int64)
    n = labels.size
    for job in prange(_JOBS):
        begin = job * n // _JOBS
        end = (job + 1) * n // _JOBS
        if begin < end:
            table = tables[job]
            value = labels[begin]
            since = begin
            for i in range(begin + 1, end):
                if labels[i] != value:
                    table[value] += i - since
                    value = labels[i]
                    since = i
            table[value] += end - since
    return tables.sum(axis=0)


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def look_up(
    src: Any,
    src_offset: Any,
    src_strides: Any,
    table: Any,
    out: Any,
    out_offset: Any,
    out_strides: Any,
    shape: Any,
) -> None:
    """out[c, i, j, k] = table[src[c, i, j, k]]; the table has an entry for every number of src's dtype."""
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
                out[np.uintp(at + k * d_k)] = table[np.uintp(src[np.uintp(a + k * s_k)])]
