"""Counting labels, replacing them, merging masks, and giving a label the voxels of a mask."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.jit import Buffer, kernel
from gpu_infer.backends.cpu.kernels.runs import FlatLabels, run_end
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape


@kernel
def count_labels(source: FlatLabels, tables: NDArray[np.int64]) -> None:
    """Add how often each value occurs in a part of the 1-D dense `source` to that part's row of `tables`, all zeros.

    Runs are counted before the table is changed: neighbours mostly share a label, and an increment that waits for the
    previous one costs more than the comparison.
    """
    labels, _, _, words, before = source
    n, jobs = labels.size, tables.shape[0]
    for job in prange(jobs):
        begin = job * n // jobs
        end = (job + 1) * n // jobs
        table = tables[job]
        while begin < end:
            after = run_end(labels, words, before, 0, 1, begin, end)
            table[labels[np.uintp(begin)]] += after - begin
            begin = after


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
def overlay(source: Flat, table: Buffer, output: Flat, shape: Shape) -> None:
    """out[c, i, j, k] = table[src[c, i, j, k]] if that is not 0; the table is that of `look_up`."""
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
                label = table[np.uintp(src[np.uintp(a + k * s_k)])]
                if label != 0:
                    out[np.uintp(at + k * d_k)] = label


@kernel
def merge(source: Flat, values: Buffer, output: Flat, shape: Shape, over: bool) -> None:
    """out[i, j, k] = the value of the last c with src[c, i, j, k] not 0, else 0, or as before if `over`.

    shape  channels, i, j, k
    """
    src, src_offset, (s_c, s_i, s_j, s_k) = source
    out, out_offset, (d_i, d_j, d_k) = output
    n_c, n_i, n_j, n_k = shape
    for i in prange(n_i):
        for j in range(n_j):
            at = out_offset + i * d_i + j * d_j
            if not over:
                for k in range(n_k):
                    out[np.uintp(at + k * d_k)] = 0
            for c in range(n_c):
                a = src_offset + c * s_c + i * s_i + j * s_j
                for k in range(n_k):
                    if src[np.uintp(a + k * s_k)] != 0:
                        out[np.uintp(at + k * d_k)] = values[c]


@kernel
def repaint(source: Flat, label: int, output: Flat, shape: Shape) -> None:
    """out[i, j, k] = label if src[i, j, k] is not 0 and out is 0; 0 if src is 0 and out is label."""
    src, src_offset, (s_i, s_j, s_k) = source
    out, out_offset, (d_i, d_j, d_k) = output
    n_i, n_j, n_k = shape
    for i in prange(n_i):
        for j in range(n_j):
            a = src_offset + i * s_i + j * s_j
            at = out_offset + i * d_i + j * d_j
            for k in range(n_k):
                here = np.uintp(at + k * d_k)
                if src[np.uintp(a + k * s_k)] != 0:
                    if out[here] == 0:
                        out[here] = label
                elif out[here] == label:
                    out[here] = 0
