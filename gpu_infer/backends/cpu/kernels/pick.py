"""Copies through index tables: nearest neighbour, reorientation and restoring of label maps, in any dtype.

The order of the axes is that of `prepare.resample`, without arithmetic: axes (c, o, p, q) with `q` the output's
fastest. If `p` is the source's fastest axis, the source is read line by line into a transposed scratch.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.interpolation import tile_span
from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat
from gpu_infer.backends.cpu.kernels.walk import WalkSizes


@helper
def _transpose(src: Buffer, a: int, s_p: int, s_q: int, n_rows: int, n_q: int, plane: Buffer, pitch: int) -> None:
    """plane[r·pitch + q] = src[a + r·s_p + q·s_q], reading along r."""
    for q in range(n_q):
        line = a + q * s_q
        for r in range(n_rows):
            plane[np.uintp(r * pitch + q)] = src[np.uintp(line + r * s_p)]


@helper
def _pick_run(src: Buffer, a: int, s: int, index: Buffer, plain: bool, out: Buffer, at: int, step: int) -> None:
    """out[at + q·step] = src[a + index[q]·s]."""
    if plain:
        for q in range(index.size):
            out[np.uintp(at + q * step)] = src[np.uintp(a + q * s)]
    else:
        for q in range(index.size):
            out[np.uintp(at + q * step)] = src[np.uintp(a + index[q] * s)]


@kernel
def pick(source: Flat, output: Flat, sizes: WalkSizes, tables: tuple[Buffer, Buffer, Buffer]) -> None:
    """out[c, o, p, q] = src[c, index_o[o], index_p[p], index_q[q]].

    source, output  with strides of (c, o, p, q)
    tables          input indices of o, p and q
    """
    src, src_offset, (s_c, s_o, s_p, s_q) = source
    out, out_offset, (d_c, d_o, d_p, d_q) = output
    channels, n_q, tile, rows, chunks, transpose = sizes
    index_o, index_p, index_q = tables
    n_o, n_p = index_o.size, index_p.size
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
            first, last = tile_span(index_p, index_p, p_begin, p_end)
            loaded = np.int64(-1)  # the input index of o that the plane is a copy of
            for o in range(part * n_o // chunks, (part + 1) * n_o // chunks):
                a = src_offset + c * s_c + index_o[o] * s_o
                if transpose and loaded != index_o[o]:
                    loaded = np.int64(index_o[o])
                    _transpose(src, a + first * s_p, s_p, s_q, last - first + 1, n_q, plane, pitch)
                for p in range(p_begin, p_end):
                    at = out_offset + c * d_c + o * d_o + p * d_p
                    if transpose:
                        _pick_run(plane, (index_p[p] - first) * pitch, 1, index_q, plain, out, at, d_q)
                    else:
                        _pick_run(src, a + index_p[p] * s_p, s_q, index_q, plain, out, at, d_q)
