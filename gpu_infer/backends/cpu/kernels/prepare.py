"""Separable linear resampling from the stored dtype in one pass, with a function before and after it.

The three axes are named by their part in the walk. `q` is the output's fastest axis, `p` a second one, `o`
the outer one that threads share. Per output index of `o` and per tile of `p`, a plane of source rows is
interpolated along `o` into a scratch of [rows of p, all of q] that stays in the cache; rows of it are
interpolated along `p`, then along `q` straight into the output. A source whose fastest axis is `p` is
transposed on its way into the scratch.

Every interpolation is (1 − w)·x + w·y in float32, and x alone where w is 0, so that an infinite or NaN
neighbour without weight does not leak.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from gpu_infer.backends.cpu.kernels.cache import CACHE
from gpu_infer.backends.cpu.kernels.half import carried

_STRIP = 16
"""float32 values in a cache line: the width of a strip that is transposed at a time."""

_COPY, _PICK, _MIX = 0, 1, 2


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _clamped(x: Any, function: Any) -> Any:
    """min(max(scale·x + shift, low), high); comparisons, so that NaN stays NaN."""
    scale, shift, low, high = function
    y = x * scale + shift
    y = low if y < low else y
    return high if y > high else y


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _load_run(
    src: Any, a: Any, b: Any, step: Any, w: Any, before: Any, plane: Any, at: Any, pitch: Any, n: Any
) -> None:
    """plane[at + i·pitch] = mix of before(src[a + i·step]) and before(src[b + i·step]) for i < n."""
    if w == 0:
        for i in range(n):
            plane[np.uintp(at + i * pitch)] = _clamped(np.float32(src[np.uintp(a + i * step)]), before)
        return
    rest = np.float32(1.0) - w
    for i in range(n):
        x = _clamped(np.float32(src[np.uintp(a + i * step)]), before)
        y = _clamped(np.float32(src[np.uintp(b + i * step)]), before)
        plane[np.uintp(at + i * pitch)] = rest * x + w * y


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _mix_rows(plane: Any, a: Any, b: Any, w: Any, line: Any) -> None:
    """line = mix of the scratch rows at a and b."""
    if w == 0:
        for q in range(line.size):
            line[q] = plane[np.uintp(a + q)]
        return
    rest = np.float32(1.0) - w
    for q in range(line.size):
        line[q] = rest * plane[np.uintp(a + q)] + w * plane[np.uintp(b + q)]


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _write_run(
    line: Any, kind: Any, lower: Any, upper: Any, weight: Any, after: Any, out: Any, at: Any, step: Any
) -> None:
    """out[at + q·step] = after(mix of line[lower[q]] and line[upper[q]])."""
    n = lower.size
    if kind == _COPY:
        for q in range(n):
            out[np.uintp(at + q * step)] = carried(_clamped(line[q], after), out)
    elif kind == _PICK:
        for q in range(n):
            out[np.uintp(at + q * step)] = carried(_clamped(line[np.uintp(lower[q])], after), out)
    else:
        for q in range(n):
            w = weight[q]
            x = line[np.uintp(lower[q])]
            y = line[np.uintp(upper[q])]
            z = x if w == 0 else (np.float32(1.0) - w) * x + w * y
            out[np.uintp(at + q * step)] = carried(_clamped(z, after), out)


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def resample(
    src: Any,
    src_offset: Any,
    src_strides: Any,
    out: Any,
    out_offset: Any,
    out_strides: Any,
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
    before: Any,
    after: Any,
) -> None:
    """out[c, o, p, q] = after(Σ weights · before(src[c, …])).

    src, out       flat buffers with offsets and strides of (c, o, p, q), in elements; out float32 or float16 bits
    sizes          (channels, input length of q, rows per tile of p, scratch rows, chunks of o, 1 to transpose)
    used_q         input indices of q that a transposed source is read at; the tables of q count in them
    before, after  (scale, shift, low, high), float32
    """
    channels, n_q, tile, rows, chunks, transpose = sizes
    n_o, n_p = lower_o.size, lower_p.size
    s_c, s_o, s_p, s_q = src_strides
    d_c, d_o, d_p, d_q = out_strides
    # an odd number of cache lines per row: rows a power of two apart would all fall into the same cache sets
    pitch = ((n_q + _STRIP - 1) // _STRIP | 1) * _STRIP
    kind = _COPY
    for q in range(lower_q.size):
        if weight_q[q] != 0:
            kind = _MIX
        elif kind == _COPY and lower_q[q] != q:
            kind = _PICK

    for job in prange(channels * chunks):
        plane = np.empty(rows * pitch, np.float32)
        line = np.empty(n_q, np.float32)
        c = job // chunks
        part = job % chunks
        for p_begin in range(0, n_p, tile):
            p_end = min(p_begin + tile, n_p)
            first = min(np.int64(lower_p[p_begin]), np.int64(upper_p[p_begin]))
            last = first
            for p in range(p_begin, p_end):
                first = min(first, min(lower_p[p], upper_p[p]))
                last = max(last, max(lower_p[p], upper_p[p]))
            n_rows = last - first + 1
            held = np.int64(-1)
            for o in range(part * n_o // chunks, (part + 1) * n_o // chunks):
                w = weight_o[o]
                base = src_offset + c * s_c + first * s_p
                a = base + lower_o[o] * s_o
                b = base + upper_o[o] * s_o
                if w != 0 or held != lower_o[o]:
                    held = np.int64(lower_o[o]) if w == 0 else np.int64(-1)
                    if transpose:
                        for q in range(n_q):
                            at = used_q[q] * s_q
                            _load_run(src, a + at, b + at, s_p, w, before, plane, q, pitch, n_rows)
                    else:
                        for r in range(n_rows):
                            _load_run(src, a + r * s_p, b + r * s_p, s_q, w, before, plane, r * pitch, 1, n_q)
                for p in range(p_begin, p_end):
                    row_a = (lower_p[p] - first) * pitch
                    row_b = (upper_p[p] - first) * pitch
                    _mix_rows(plane, row_a, row_b, weight_p[p], line)
                    at = out_offset + c * d_c + o * d_o + p * d_p
                    _write_run(line, kind, lower_q, upper_q, weight_q, after, out, at, d_q)
