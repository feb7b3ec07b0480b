"""Counting labels, replacing them, and merging masks."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.jit import Buffer, kernel
from gpu_infer.backends.cpu.kernels.runs import FlatLabels, run_end
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape

_JOBS = 16
"""Pieces that threads share; each has its own table."""


@kernel
def count_labels(source: FlatLabels, classes: int) -> NDArray[np.int64]:
    """int64 [classes]: how often each value occurs in the 1-D dense `source`, all below `classes`.

    Runs are counted before the table is changed: neighbours mostly share a label, and an increment that waits for the
    previous one costs more than the comparison.
    """
    labels, _, _, words, before = source
    tables = np.zeros((_JOBS, classes), np.int64)
    n = labels.size
    for job in prange(_JOBS):
        begin = job * n // _JOBS
        end = (job + 1) * n // _JOBS
        table = tables[job]
        while begin < end:
            after = run_end(labels, words, before, 0, 1, begin, end)
            table[labels[np.uintp(begin)]] += after - begin
            begin = after
    counts: NDArray[np.int64] = tables.sum(axis=0)
    return counts


@kernel
def look_up(source: Flat, table: Buffer, output: Flat, shape: Shape) -> None:
    """out[c, i, j, k] = table[src[c, i, j, k]]; the table has an entry for every number of src's dtype."""
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
                out[np.uintp(at + k * d_k)] = table[np.uintp(src[np.uintp(a + k * s_k)])]


@kernel
def merge(source: Flat, values: Buffer, output: Flat, shape: Shape) -> None:
    """out[i, j, k] = the value of the last c with src[c, i, j, k] not 0, else 0; shape is (channels, i, j, k)."""
    src, src_offset, (s_c, s_i, s_j, s_k) = source
    out, out_offset, (d_i, d_j, d_k) = output
    n_c, n_i, n_j, n_k = shape
    for i in prange(n_i):
        for j in range(n_j):
            at = out_offset + i * d_i + j * d_j
            for k in range(n_k):
                out[np.uintp(at + k * d_k)] = 0
            for c in range(n_c):
                a = src_offset + c * s_c + i * s_i + j * s_j
                for k in range(n_k):
                    if src[np.uintp(a + k * s_k)] != 0:
                        out[np.uintp(at + k * d_k)] = values[c]
