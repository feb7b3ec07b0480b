"""Copies through index tables: nearest neighbour, reorientation and restoring of label maps, in any dtype.

The walk is that of `prepare.resample`, without arithmetic: axes (c, o, p, q) with `q` the output's fastest.
A source whose fastest axis is `p` is read line by line into a scratch that holds it transposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from gpu_infer.backends.cpu.kernels.cache import CACHE


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _transpose(src: Any, a: Any, s_p: Any, s_q: Any, n_rows: Any, n_q: Any, plane: Any, pitch: Any) -> None:
    """plane[r·pitch + q] = src[a + r·s_p + q·s_q], reading along r."""
    for q in range(n_q):
        line = a + q * s_q
        for r in range(n_rows):
            plane[np.uintp(r * pitch + q)] = src[np.uintp(line + r * s_p)]


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _pick_run(src: Any, a: Any, s: Any, index: Any, plain: Any, out: Any, at: Any, step: Any) -> None:
    """out[at + q·step] = src[a + index[q]·s]."""
    if plain:
        for q in range(index.size):
            out[np.uintp(at + q * step)] = src[np.uintp(a + q * s)]
    else:
        for q in range(index.size):
            out[np.uintp(at + q * step)] = src[np.uintp(a + index[q] * s)]


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def pick(
    src: Any,
    src_offset: Any,
    src_strides: Any,
    out: Any,
    out_offset: Any,
    out_strides: Any,
    sizes: Any,
    index_o: Any,
    index_p: Any,
    index_q: Any,
) -> None:
    """out[c, o, p, q] = src[c, index_o[o], index_p[p], index_q[q]].

    src, out  flat buffers with offsets and strides of (c, o, p, q), in elements
    sizes     (channels, input length of q, rows per tile of p, scratch rows, chunks of o, 1 to transpose)
    """
    channels, n_q, tile, rows, chunks, transpose = sizes
    n_o, n_p = index_o.size, index_p.size
    s_c, s_o, s_p, s_q = src_strides
    d_c, d_o, d_p, d_q = out_strides
    # an odd number of cache lines per row: rows a power of two apart would all fall into the same cache sets
    per_line = 64 // out.itemsize
    pitch = ((n_q + per_line - 1) // per_line | 1) * per_line
    plain = True
    for q in range(index_q.size):
        plain = plain and index_q[q] == q

    for job in prange(channels * chunks):
        plane = np.empty(rows * pitch if transpose else 1, out.dtype)
        c = job // chunks
        part = job % chunks
        for p_begin in range(0, n_p, tile):
            p_end = min(p_begin + tile, n_p)
            first = np.int64(index_p[p_begin])
            last = first
            for p in range(p_begin, p_end):
                first = min(first, np.int64(index_p[p]))
                last = max(last, np.int64(index_p[p]))
            held = np.int64(-1)
            for o in range(part * n_o // chunks, (part + 1) * n_o // chunks):
                a = src_offset + c * s_c + index_o[o] * s_o
                if transpose and held != index_o[o]:
                    held = np.int64(index_o[o])
                    _transpose(src, a + first * s_p, s_p, s_q, last - first + 1, n_q, plane, pitch)
                for p in range(p_begin, p_end):
                    at = out_offset + c * d_c + o * d_o + p * d_p
                    if transpose:
                        _pick_run(plane, (index_p[p] - first) * pitch, 1, index_q, plain, out, at, d_q)
                    else:
                        _pick_run(src, a + index_p[p] * s_p, s_q, index_q, plain, out, at, d_q)
