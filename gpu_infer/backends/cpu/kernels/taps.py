"""Weighted sums of neighbours along one axis of [X, Y, Z].

A strip of `WIDTH` neighbouring lines is copied into a scratch [n_in, WIDTH] that stays in the cache, whichever axis is
the fastest in memory; sums run over its rows, and leave in a second scratch [n_out, WIDTH].
"""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.half import converted, single
from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.prepare import clamped
from gpu_infer.backends.cpu.kernels.strided import Flat
from gpu_infer.backends.tables import Constants

WIDTH = 32
"""Lines of a strip: two cache lines of float32."""


@helper
def _sum_rows(rows: Buffer, at: int, weights: Buffer, first: int, count: int, sums: Buffer, to: int) -> None:
    """sums[to + w] = Σ weights[first + k]·rows[at + k·WIDTH + w], in the order of k."""
    x = weights[np.uintp(first)]
    for w in range(WIDTH):
        sums[np.uintp(to + w)] = x * rows[np.uintp(at + w)]
    k = 1
    while k + 4 <= count:
        a = weights[np.uintp(first + k)]
        b = weights[np.uintp(first + k + 1)]
        c = weights[np.uintp(first + k + 2)]
        d = weights[np.uintp(first + k + 3)]
        row = at + k * WIDTH
        for w in range(WIDTH):
            total = sums[np.uintp(to + w)]
            total += a * rows[np.uintp(row + w)]
            total += b * rows[np.uintp(row + WIDTH + w)]
            total += c * rows[np.uintp(row + 2 * WIDTH + w)]
            total += d * rows[np.uintp(row + 3 * WIDTH + w)]
            sums[np.uintp(to + w)] = total
        k += 4
    while k < count:
        a = weights[np.uintp(first + k)]
        row = at + k * WIDTH
        for w in range(WIDTH):
            sums[np.uintp(to + w)] += a * rows[np.uintp(row + w)]
        k += 1


@kernel
def taps_along(
    source: Flat,
    output: Flat,
    sizes: tuple[int, int, int, int],
    table: tuple[Buffer, Buffer, Buffer],
    functions: tuple[Constants, Constants],
    half: bool,
) -> None:
    """out[m, w, o] = after(Σ weights[o, k] · before(src[m, w, first[o] + k])).

    source, output  with strides of (m, w, n); output of float32 or float16 bits
    sizes           of m and w, taps per output, pieces that threads share
    table           first, count, and the weights [n_out, taps] as one line
    functions       before and after
    half            True if the source has the bits of float16
    """
    src, src_offset, (s_m, s_w, s_n) = source
    out, out_offset, (d_m, d_w, d_n) = output
    n_m, n_w, taps, chunks = sizes
    first, count, weights = table
    before, after = functions
    n_out = first.size
    low, high = np.int64(first[0]), np.int64(0)
    for o in range(n_out):
        low = min(low, np.int64(first[o]))
        high = max(high, np.int64(first[o]) + np.int64(count[o]))
    n_rows = high - low
    strips = (n_w + WIDTH - 1) // WIDTH
    across_source = abs(s_n) < abs(s_w)
    across_output = abs(d_n) < abs(d_w)

    for job in prange(chunks):
        rows = np.zeros(n_rows * WIDTH, np.float32)
        sums = np.empty(n_out * WIDTH, np.float32)
        for item in range(job * n_m * strips // chunks, (job + 1) * n_m * strips // chunks):
            m = item // strips
            begin = item % strips * WIDTH
            lines = min(WIDTH, n_w - begin)
            at = src_offset + m * s_m + begin * s_w + low * s_n
            if across_source:
                for w in range(lines):
                    for n in range(n_rows):
                        rows[np.uintp(n * WIDTH + w)] = clamped(
                            single(src[np.uintp(at + w * s_w + n * s_n)], half), before
                        )
            else:
                for n in range(n_rows):
                    for w in range(lines):
                        rows[np.uintp(n * WIDTH + w)] = clamped(
                            single(src[np.uintp(at + w * s_w + n * s_n)], half), before
                        )
            for o in range(n_out):
                _sum_rows(rows, (first[o] - low) * WIDTH, weights, o * taps, count[o], sums, o * WIDTH)
            to = out_offset + m * d_m + begin * d_w
            if across_output:
                for w in range(lines):
                    for o in range(n_out):
                        out[np.uintp(to + w * d_w + o * d_n)] = converted(
                            clamped(sums[np.uintp(o * WIDTH + w)], after), out
                        )
            else:
                for o in range(n_out):
                    for w in range(lines):
                        out[np.uintp(to + w * d_w + o * d_n)] = converted(
                            clamped(sums[np.uintp(o * WIDTH + w)], after), out
                        )
