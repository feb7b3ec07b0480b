"""Scores resampled linearly and their argmax, in one pass: a resampled score exists in one line of scratch only.

The axes (o, p, q) and the arithmetic are those of `prepare.resample`: interpolated along `o`, then `p`, then `q`. Per
output index of `o` and per tile of `p`, channel after channel is interpolated and compared with the best score so far.
The plane of a channel has the source's order in memory: along `p` if that is the source's fastest axis, else along `q`.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.interpolation import mix_rows, tile_span
from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, FlatTables
from gpu_infer.backends.cpu.kernels.walk import WalkSizes


@helper
def _load_run(src: Buffer, a: int, b: int, step: int, w: np.float32, plane: Buffer, at: int, n: int) -> None:
    """plane[at + i] = mix of src[a + i·step] and src[b + i·step] for i < n."""
    if w == 0:
        for i in range(n):
            plane[np.uintp(at + i)] = src[np.uintp(a + i * step)]
        return
    rest = np.float32(1.0) - w
    for i in range(n):
        plane[np.uintp(at + i)] = rest * src[np.uintp(a + i * step)] + w * src[np.uintp(b + i * step)]


@helper
def _mix_samples(
    line: Buffer,
    lower: Buffer,
    upper: Buffer,
    weight: Buffer,
    begin: int,
    first: int,
    mixed: Buffer,
    at: int,
    n: int,
) -> None:
    """mixed[at + i] = mix of the samples that entry begin + i of the table reads; line[0] is sample `first`."""
    for i in range(n):
        w = weight[np.uintp(begin + i)]
        x = line[np.uintp(lower[np.uintp(begin + i)] - first)]
        y = line[np.uintp(upper[np.uintp(begin + i)] - first)]
        mixed[np.uintp(at + i)] = x if w == 0 else (np.float32(1.0) - w) * x + w * y


@helper
def _compare(line: Buffer, c: int, best: Buffer, winners: Buffer, at: int, n: int) -> None:
    """Channel c's scores against the best ones at `at`: only > wins, so that a NaN after channel 0 never does."""
    if c == 0:
        for i in range(n):
            best[np.uintp(at + i)] = line[i]
            winners[np.uintp(at + i)] = 0
        return
    for i in range(n):
        value = line[i]
        previous = best[np.uintp(at + i)]
        better = value > previous
        best[np.uintp(at + i)] = value if better else previous
        winners[np.uintp(at + i)] = c if better else winners[np.uintp(at + i)]


@kernel
def restore_argmax(source: Flat, labels: Flat, sizes: WalkSizes, used_q: Buffer, tables: FlatTables) -> None:
    """labels[o, p, q] = first c with the greatest Σ weights · src[c, …].

    source  float32, with strides of (c, o, p, q)
    labels  with strides of (o, p, q)
    used_q  input indices of q that a source with p fastest is read at; the table of q counts in them
    tables  of o, p and q
    """
    src, src_offset, (s_c, s_o, s_p, s_q) = source
    out, out_offset, (d_o, d_p, d_q) = labels
    channels, n_q, tile, rows, chunks, across = sizes
    (lower_o, upper_o, weight_o), (lower_p, upper_p, weight_p), (lower_q, upper_q, weight_q) = tables
    n_o, n_p, m_q = lower_o.size, lower_p.size, lower_q.size
    wide = min(tile, n_p)
    # the place of a tile's voxel (p, q) in `best` and `winners`
    step_p, step_q = (1, wide) if across else (m_q, 1)

    for part in prange(chunks):
        plane = np.empty(n_q * wide if across else rows * n_q, np.float32)
        line = np.empty(max(rows, n_q), np.float32)
        mixed = np.empty(max(wide, m_q), np.float32)
        best = np.empty(wide * m_q, np.float32)
        winners = np.empty(wide * m_q, np.int32)
        for p_begin in range(0, n_p, tile):
            p_end = min(p_begin + tile, n_p)
            n = p_end - p_begin
            first, last = tile_span(lower_p, upper_p, p_begin, p_end)
            n_rows = last - first + 1
            for o in range(part * n_o // chunks, (part + 1) * n_o // chunks):
                w = weight_o[o]
                for c in range(channels):
                    base = src_offset + c * s_c + first * s_p
                    a = base + lower_o[o] * s_o
                    b = base + upper_o[o] * s_o
                    if across:
                        for q in range(n_q):
                            at = used_q[q] * s_q
                            _load_run(src, a + at, b + at, s_p, w, line, 0, n_rows)
                            _mix_samples(line, lower_p, upper_p, weight_p, p_begin, first, plane, q * wide, n)
                        for q in range(m_q):
                            mix_rows(plane, lower_q[q] * wide, upper_q[q] * wide, weight_q[q], mixed, n)
                            _compare(mixed, c, best, winners, q * wide, n)
                    else:
                        for r in range(n_rows):
                            _load_run(src, a + r * s_p, b + r * s_p, s_q, w, plane, r * n_q, n_q)
                        for p in range(p_begin, p_end):
                            row_a, row_b = (lower_p[p] - first) * n_q, (upper_p[p] - first) * n_q
                            mix_rows(plane, row_a, row_b, weight_p[p], line, n_q)
                            _mix_samples(line, lower_q, upper_q, weight_q, 0, 0, mixed, 0, m_q)
                            _compare(mixed, c, best, winners, (p - p_begin) * m_q, m_q)
                for p in range(n):
                    at = out_offset + o * d_o + (p_begin + p) * d_p
                    for q in range(m_q):
                        out[np.uintp(at + q * d_q)] = winners[np.uintp(p * step_p + q * step_q)]
