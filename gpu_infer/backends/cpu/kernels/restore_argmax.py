"""Scores resampled linearly and their argmax, in one pass: no resampled score outlives the line that it stands in.

The axes (o, p, q) and the arithmetic are those of `prepare.resample`: interpolated along `o`, then `p`, then `q`, every
interpolation (1 − w)·x + w·y in float32, and x alone where w is 0. Per output index of `o` and per tile of `p`, channel
after channel is interpolated and met with the best score so far. The plane of a channel lies in memory as its source
does: along `p` where that is the source's fastest axis, else along `q`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from gpu_infer.backends.cpu.kernels.cache import CACHE


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _load_run(src: Any, a: Any, b: Any, step: Any, w: Any, plane: Any, at: Any, n: Any) -> None:
    """plane[at + i] = mix of src[a + i·step] and src[b + i·step] for i < n."""
    if w == 0:
        for i in range(n):
            plane[np.uintp(at + i)] = src[np.uintp(a + i * step)]
        return
    rest = np.float32(1.0) - w
    for i in range(n):
        plane[np.uintp(at + i)] = rest * src[np.uintp(a + i * step)] + w * src[np.uintp(b + i * step)]


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _mix_rows(plane: Any, a: Any, b: Any, w: Any, line: Any, n: Any) -> None:
    """line = mix of the n values at a and b of the plane."""
    if w == 0:
        for i in range(n):
            line[i] = plane[np.uintp(a + i)]
        return
    rest = np.float32(1.0) - w
    for i in range(n):
        line[i] = rest * plane[np.uintp(a + i)] + w * plane[np.uintp(b + i)]


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _mix_samples(
    line: Any, lower: Any, upper: Any, weight: Any, begin: Any, first: Any, mixed: Any, at: Any, n: Any
) -> None:
    """mixed[at + i] = mix of the samples that entry begin + i of the table reads; line[0] is sample `first`."""
    for i in range(n):
        w = weight[np.uintp(begin + i)]
        x = line[np.uintp(lower[np.uintp(begin + i)] - first)]
        y = line[np.uintp(upper[np.uintp(begin + i)] - first)]
        mixed[np.uintp(at + i)] = x if w == 0 else (np.float32(1.0) - w) * x + w * y


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _meet(line: Any, c: Any, best: Any, found: Any, at: Any, n: Any) -> None:
    """Channel c's scores against the best ones at `at`: > alone wins, so that a NaN behind channel 0 never does."""
    if c == 0:
        for i in range(n):
            best[np.uintp(at + i)] = line[i]
            found[np.uintp(at + i)] = 0
        return
    for i in range(n):
        value = line[i]
        held = best[np.uintp(at + i)]
        better = value > held
        best[np.uintp(at + i)] = value if better else held
        found[np.uintp(at + i)] = c if better else found[np.uintp(at + i)]


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def restore_argmax(
    src: Any,
    src_offset: Any,
    src_strides: Any,
    out: Any,
    out_offset: Any,
    out_strides: Any,
    channels: Any,
    sizes: Any,
    used_q: Any,
    lower_o: Any,
    upper_o: Any,
    weight_o: Any,
    lower_p: Any,
    upper_p: Any,
    weight_p: Any,
    lower_q: Any,
    upper_q: Any,
    weight_q: Any,
) -> None:
    """out[o, p, q] = first c with the greatest Σ weights · src[c, …].

    src, out  flat buffers with offsets and strides of (c, o, p, q) and (o, p, q), in elements; float32 and labels
    sizes     (input length of q, rows per tile of p, scratch rows, chunks of o, 1 where p is the source's fastest)
    used_q    input indices of q that a source with p fastest is read at; the tables of q count in them
    """
    n_q, tile, rows, chunks, across = sizes
    n_o, n_p, m_q = lower_o.size, lower_p.size, lower_q.size
    s_c, s_o, s_p, s_q = src_strides
    d_o, d_p, d_q = out_strides
    wide = min(tile, n_p)
    # where a tile's voxel (p, q) stands in `best` and `found`
    step_p, step_q = (1, wide) if across else (m_q, 1)

    for part in prange(chunks):
        plane = np.empty(n_q * wide if across else rows * n_q, np.float32)
        line = np.empty(max(rows, n_q), np.float32)
        mixed = np.empty(max(wide, m_q), np.float32)
        best = np.empty(wide * m_q, np.float32)
        found = np.empty(wide * m_q, np.int32)
        for p_begin in range(0, n_p, tile):
            p_end = min(p_begin + tile, n_p)
            n = p_end - p_begin
            first = min(np.int64(lower_p[p_begin]), np.int64(upper_p[p_begin]))
            last = first
            for p in range(p_begin, p_end):
                first = min(first, min(lower_p[p], upper_p[p]))
                last = max(last, max(lower_p[p], upper_p[p]))
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
                            _mix_rows(plane, lower_q[q] * wide, upper_q[q] * wide, weight_q[q], mixed, n)
                            _meet(mixed, c, best, found, q * wide, n)
                    else:
                        for r in range(n_rows):
                            _load_run(src, a + r * s_p, b + r * s_p, s_q, w, plane, r * n_q, n_q)
                        for p in range(p_begin, p_end):
                            row_a, row_b = (lower_p[p] - first) * n_q, (upper_p[p] - first) * n_q
                            _mix_rows(plane, row_a, row_b, weight_p[p], line, n_q)
                            _mix_samples(line, lower_q, upper_q, weight_q, 0, 0, mixed, 0, m_q)
                            _meet(mixed, c, best, found, (p - p_begin) * m_q, m_q)
                for p in range(n):
                    at = out_offset + o * d_o + (p_begin + p) * d_p
                    for q in range(m_q):
                        out[np.uintp(at + q * d_q)] = found[np.uintp(p * step_p + q * step_q)]
