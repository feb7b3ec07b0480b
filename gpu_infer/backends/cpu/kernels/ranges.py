"""The range of an array, and how often the digits of its numbers occur."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.jit import kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape

_JOBS = 16
"""Pieces that threads share; each has its own table."""


@kernel
def value_range(source: Flat, shape: Shape) -> tuple[np.float32, np.float32, np.bool_]:
    """The least and the greatest number in float32, and whether there is a NaN. (inf, -inf) if there is no number."""
    src, offset, (s_a, s_b, s_c, s_d) = source
    n_a, n_b, n_c, n_d = shape
    lows = np.full(n_a * n_b, np.float32(np.inf), np.float32)
    highs = np.full(n_a * n_b, np.float32(-np.inf), np.float32)
    nans = np.zeros(n_a * n_b, np.bool_)
    for job in prange(n_a * n_b):
        low, high, nan = np.float32(np.inf), np.float32(-np.inf), False
        base = offset + job // n_b * s_a + job % n_b * s_b
        for c in range(n_c):
            for d in range(n_d):
                x = np.float32(src[np.uintp(base + c * s_c + d * s_d)])
                low = x if x < low else low
                high = x if x > high else high
                nan = nan or x != x
        lows[job] = low
        highs[job] = high
        nans[job] = nan
    return lows.min(), highs.max(), nans.any()


@kernel
def count_digits(source: Flat, shape: Shape, digit: tuple[int, int, int], top: int) -> NDArray[np.int64]:
    """int64 [2 ** bits]: the digits of keys that begin with `prefix`; digit is (shift, bits, prefix).

    `source` has the bits of floats as unsigned integers, and `top` is their sign bit. The key of a number is of the
    same order: the bits inverted if it is negative, else with the sign bit set.
    """
    src, offset, (s_a, s_b, s_c, s_d) = source
    n_a, n_b, n_c, n_d = shape
    shift, bits, prefix = digit
    full = 2 * top - 1
    lines = n_a * n_b * n_c
    tables = np.zeros((_JOBS, 1 << bits), np.int64)
    for job in prange(_JOBS):
        table = tables[job]
        for line in range(job * lines // _JOBS, (job + 1) * lines // _JOBS):
            base = offset + line // n_c // n_b * s_a + line // n_c % n_b * s_b + line % n_c * s_c
            for d in range(n_d):
                stored = np.int64(src[np.uintp(base + d * s_d)])
                key = stored ^ full if stored & top else stored | top
                if key >> (shift + bits) == prefix:
                    table[np.uintp((key >> shift) & ((1 << bits) - 1))] += 1
    counts: NDArray[np.int64] = tables.sum(axis=0)
    return counts
