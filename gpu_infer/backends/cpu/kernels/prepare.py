"""Separable linear resampling from the stored dtype in one pass, with a function before and after it.

The three axes are named by their role. `q` is the output's fastest axis, `p` a second one, `o` the outer one that
threads share (see `layout.axis_order`). Per output index of `o` and per tile of `p`, a plane of source rows is
interpolated along `o` into a scratch of [rows of p, all of q] that stays in the cache; rows of it are interpolated
along `p`, then along `q` straight into the output. If `p` is the source's fastest axis, the plane is transposed as it
is read.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.half import converted, single
from gpu_infer.backends.cpu.kernels.interpolation import mix_rows, tile_span
from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, FlatTables
from gpu_infer.backends.cpu.kernels.walk import WalkSizes
from gpu_infer.backends.tables import Constants

_STRIP = 16
"""float32 values in a cache line: the width of a strip that is transposed at a time."""

_COPY, _PICK, _MIX = 0, 1, 2


@helper
def clamped(x: np.float32, function: Constants) -> np.float32:
    """min(max((x + lead)·scale + rest, low), high); comparisons, so that NaN stays NaN."""
    lead, scale, rest, low, high = function
    y = (x + lead) * scale + rest
    y = low if y < low else y
    return high if y > high else y


@helper
def _has_limits(function: Constants) -> bool:
    _, _, _, low, high = function
    return bool(low != -np.inf or high != np.inf)


@helper
def _value(x: np.float32, function: Constants, limited: bool) -> np.float32:
    """`clamped`, with the comparisons only if there are limits: a tenth of the time of a transposed source."""
    if limited:
        return clamped(x, function)
    lead, scale, rest, _, _ = function
    return (x + lead) * scale + rest


@helper
def _load_run(
    src: Buffer,
    a: int,
    b: int,
    step: int,
    w: np.float32,
    before: Constants,
    limited: bool,
    plane: Buffer,
    at: int,
    pitch: int,
    n: int,
    half: bool,
) -> None:
    """plane[at + i·pitch] = mix of before(src[a + i·step]) and before(src[b + i·step]) for i < n."""
    if w == 0:
        for i in range(n):
            plane[np.uintp(at + i * pitch)] = _value(single(src[np.uintp(a + i * step)], half), before, limited)
        return
    rest = np.float32(1.0) - w
    for i in range(n):
        x = _value(single(src[np.uintp(a + i * step)], half), before, limited)
        y = _value(single(src[np.uintp(b + i * step)], half), before, limited)
        plane[np.uintp(at + i * pitch)] = rest * x + w * y


@helper
def _kind(lower: Buffer, weight: Buffer) -> int:
    """_COPY if a table is the identity, _PICK if it copies, _MIX if it interpolates."""
    kind = _COPY
    for q in range(lower.size):
        if weight[q] != 0:
            kind = _MIX
        elif kind == _COPY and lower[q] != q:
            kind = _PICK
    return kind


@helper
def _write_run(
    line: Buffer,
    kind: int,
    lower: Buffer,
    upper: Buffer,
    weight: Buffer,
    after: Constants,
    out: Buffer,
    at: int,
    step: int,
) -> None:
    """out[at + q·step] = after(mix of line[lower[q]] and line[upper[q]])."""
    n = lower.size
    if kind == _COPY:
        for q in range(n):
            out[np.uintp(at + q * step)] = converted(clamped(line[q], after), out)
    elif kind == _PICK:
        for q in range(n):
            out[np.uintp(at + q * step)] = converted(clamped(line[np.uintp(lower[q])], after), out)
    else:
        for q in range(n):
            w = weight[q]
            x = line[np.uintp(lower[q])]
            y = line[np.uintp(upper[q])]
            z = x if w == 0 else (np.float32(1.0) - w) * x + w * y
            out[np.uintp(at + q * step)] = converted(clamped(z, after), out)


@kernel
def resample(
    source: Flat,
    output: Flat,
    sizes: WalkSizes,
    used_q: Buffer,
    tables: FlatTables,
    functions: tuple[Constants, Constants],
    half: bool,
) -> None:
    """out[c, o, p, q] = after(Σ weights · before(src[c, …])).

    source, output  with strides of (c, o, p, q); output of float32 or float16 bits
    used_q          input indices of q that a transposed source is read at; the table of q counts in them
    tables          of o, p and q
    functions       before and after
    half            True if the source has the bits of float16
    """
    src, src_offset, (s_c, s_o, s_p, s_q) = source
    out, out_offset, (d_c, d_o, d_p, d_q) = output
    channels, n_q, tile, rows, chunks, transpose = sizes
    (lower_o, upper_o, weight_o), (lower_p, upper_p, weight_p), (lower_q, upper_q, weight_q) = tables
    before, after = functions
    limited = _has_limits(before)
    n_o, n_p = lower_o.size, lower_p.size
    # an odd number of cache lines per row: rows a power of two apart would all fall into the same cache sets
    pitch = ((n_q + _STRIP - 1) // _STRIP | 1) * _STRIP
    kind = _kind(lower_q, weight_q)

    for job in prange(channels * chunks):
        plane = np.empty(rows * pitch, np.float32)
        line = np.empty(n_q, np.float32)
        c = job // chunks
        part = job % chunks
        for p_begin in range(0, n_p, tile):
            p_end = min(p_begin + tile, n_p)
            first, last = tile_span(lower_p, upper_p, p_begin, p_end)
            n_rows = last - first + 1
            loaded = np.int64(-1)  # the input index of o that the plane is a copy of, if it is one
            for o in range(part * n_o // chunks, (part + 1) * n_o // chunks):
                w = weight_o[o]
                base = src_offset + c * s_c + first * s_p
                a = base + lower_o[o] * s_o
                b = base + upper_o[o] * s_o
                if w != 0 or loaded != lower_o[o]:
                    loaded = np.int64(lower_o[o]) if w == 0 else np.int64(-1)
                    if transpose:
                        for q in range(n_q):
                            at = used_q[q] * s_q
                            _load_run(src, a + at, b + at, s_p, w, before, limited, plane, q, pitch, n_rows, half)
                    else:
                        for r in range(n_rows):
                            row = r * s_p
                            _load_run(src, a + row, b + row, s_q, w, before, limited, plane, r * pitch, 1, n_q, half)
                for p in range(p_begin, p_end):
                    row_a = (lower_p[p] - first) * pitch
                    row_b = (upper_p[p] - first) * pitch
                    mix_rows(plane, row_a, row_b, weight_p[p], line, n_q)
                    at = out_offset + c * d_c + o * d_o + p * d_p
                    _write_run(line, kind, lower_q, upper_q, weight_q, after, out, at, d_q)
