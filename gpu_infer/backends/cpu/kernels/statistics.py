"""Mean and deviation of an array, and functions for what is not 0 or inside a mask."""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.half import converted, double, single
from gpu_infer.backends.cpu.kernels.jit import Buffer, compiled, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape
from gpu_infer.backends.tables import Constants

_JOBS = 64
"""Pieces that threads share; a fixed number, so that sums do not depend on the number of threads."""

_any_order = compiled(fastmath={"reassoc", "nsz"})
"""A helper whose sums may be taken in any order, so that its loop is vectorised."""


@helper
def _merged(
    n_a: float, mean_a: float, m2_a: float, n_b: float, mean_b: float, m2_b: float
) -> tuple[float, float, float]:
    """Count, mean and summed squared deviation of two sets together (Chan, Golub and LeVeque, 1979)."""
    n = n_a + n_b
    distance = mean_b - mean_a
    return n, mean_a + distance * n_b / n, m2_a + m2_b + distance * distance * n_a * n_b / n


@_any_order
def _line(src: Buffer, a: int, step: int, n: int, nonzero_only: bool, half: bool) -> tuple[float, float]:
    """Count and sum of the line that begins at `a`."""
    count = 0.0
    total = 0.0
    for k in range(n):
        x = double(src[np.uintp(a + k * step)], half)
        count += 0.0 if nonzero_only and x == 0.0 else 1.0
        total += x
    return count, total


@_any_order
def _squares(src: Buffer, a: int, step: int, n: int, nonzero_only: bool, half: bool, centre: float) -> float:
    """Summed squared distance of the line's values from `centre`."""
    total = 0.0
    for k in range(n):
        x = double(src[np.uintp(a + k * step)], half)
        distance = 0.0 if nonzero_only and x == 0.0 else x - centre
        total += distance * distance
    return total


@kernel
def moments(source: Flat, shape: Shape, nonzero_only: bool, half: bool) -> tuple[float, float, float]:
    """(count, mean, summed squared deviation), float64, of src[c, i, j, k] over `shape`, or of those that are not 0.

    `half`: the source has the bits of float16.

    Each line is read twice, the second time from the cache: deviations are taken from the line's own mean, so that a
    large mean does not cancel a small deviation.
    """
    src, src_offset, (s_c, s_i, s_j, s_k) = source
    n_c, n_i, n_j, n_k = shape
    lines = n_c * n_i * n_j
    parts = np.zeros((_JOBS, 3), np.float64)
    for job in prange(_JOBS):
        count, mean, m2 = 0.0, 0.0, 0.0
        for line in range(job * lines // _JOBS, (job + 1) * lines // _JOBS):
            j = line % n_j
            i = line // n_j % n_i
            c = line // n_j // n_i
            a = src_offset + c * s_c + i * s_i + j * s_j
            n, total = _line(src, a, s_k, n_k, nonzero_only, half)
            if n > 0.0:
                centre = total / n
                squares = _squares(src, a, s_k, n_k, nonzero_only, half, centre)
                count, mean, m2 = _merged(count, mean, m2, n, centre, squares)
        parts[job, 0], parts[job, 1], parts[job, 2] = count, mean, m2
    count, mean, m2 = 0.0, 0.0, 0.0
    for job in range(_JOBS):
        if parts[job, 0] > 0.0:
            count, mean, m2 = _merged(count, mean, m2, parts[job, 0], parts[job, 1], parts[job, 2])
    return count, mean, m2


@kernel
def affine_nonzero(source: Flat, output: Flat, shape: Shape, function: Constants, half: bool) -> None:
    """out[c, i, j, k] = min(max((x + lead)·scale + rest, low), high) if x = src[c, i, j, k] is not 0, else 0.

    Both are float32 or the bits of float16; `half`: the source is float16.
    """
    src, src_offset, (s_c, s_i, s_j, s_k) = source
    out, out_offset, (d_c, d_i, d_j, d_k) = output
    n_c, n_i, n_j, n_k = shape
    lead, scale, rest, low, high = function
    for row in prange(n_c * n_i):
        c = row // n_i
        i = row % n_i
        for j in range(n_j):
            a = src_offset + c * s_c + i * s_i + j * s_j
            at = out_offset + c * d_c + i * d_i + j * d_j
            for k in range(n_k):
                x = single(src[np.uintp(a + k * s_k)], half)
                y = (x + lead) * scale + rest
                y = low if y < low else y
                y = high if y > high else y
                out[np.uintp(at + k * d_k)] = converted(y if x != 0 else np.float32(0.0), out)


@kernel
def affine_within(source: Flat, inside: Flat, output: Flat, shape: Shape, function: Constants, half: bool) -> None:
    """out[c, i, j, k] = min(max(scale·x + shift, low), high) if the mask is not 0, else 0; dtypes as above."""
    src, src_offset, (s_c, s_i, s_j, s_k) = source
    mask, mask_offset, (m_c, m_i, m_j, m_k) = inside
    out, out_offset, (d_c, d_i, d_j, d_k) = output
    n_c, n_i, n_j, n_k = shape
    lead, scale, rest, low, high = function
    for row in prange(n_c * n_i):
        c = row // n_i
        i = row % n_i
        for j in range(n_j):
            a = src_offset + c * s_c + i * s_i + j * s_j
            m = mask_offset + c * m_c + i * m_i + j * m_j
            at = out_offset + c * d_c + i * d_i + j * d_j
            for k in range(n_k):
                y = (single(src[np.uintp(a + k * s_k)], half) + lead) * scale + rest
                y = low if y < low else y
                y = high if y > high else y
                out[np.uintp(at + k * d_k)] = converted(y if mask[np.uintp(m + k * m_k)] != 0 else np.float32(0.0), out)
