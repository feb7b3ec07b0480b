"""Softmax, sigmoid and entropy of a line of voxels at a time.

The exponential and the logarithm are the polynomials of Cephes' expf and logf. They consist of products and sums that
are rounded one by one, so that kernels/scores.cu computes the same bits. Powers of two are made, and exponents read, as
bits in an array of int32 that is seen as float32.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape

_JOBS = 64
"""Pieces that threads share."""

_F = np.float32
_LOWEST = _F(-87.0)
_LOG2E = _F(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(-2.12194440e-4)
_E0, _E1, _E2 = _F(1.9875691500e-4), _F(1.3981999507e-3), _F(8.3334519073e-3)
_E3, _E4, _E5 = _F(4.1665795894e-2), _F(1.6666665459e-1), _F(5.0000001201e-1)
_L0, _L1, _L2 = _F(7.0376836292e-2), _F(-1.1514610310e-1), _F(1.1676998740e-1)
_L3, _L4, _L5 = _F(-1.2420140846e-1), _F(1.4249322787e-1), _F(-1.6668057665e-1)
_L6, _L7, _L8 = _F(2.0000714765e-1), _F(-2.4999993993e-1), _F(3.3333331174e-1)
_ROOT_HALF = _F(0.707106781186547524)
_TINY = _F(1.17549435e-38)
_HALF, _ZERO, _ONE = _F(0.5), _F(0.0), _F(1.0)
_BIAS, _FRACTION = np.int32(127), np.int32(23)
_MANTISSA, _EXPONENT_OF_HALF, _BEFORE_HALF = np.int32(0x7FFFFF), np.int32(0x3F000000), np.int32(126)


@helper
def _exponentials(line: Buffer, bits: Buffer, powers: Buffer, n: int) -> None:
    """line = exp(line) for line ≤ 0; `powers` is `bits` seen as float32."""
    for k in range(n):
        x = line[k] if line[k] >= _LOWEST else _LOWEST
        bits[k] = (np.int32(x * _LOG2E - _HALF) + _BIAS) << _FRACTION
    for k in range(n):
        x = line[k]
        m = _F((bits[k] >> _FRACTION) - _BIAS)
        r = (x - m * _LN2_HIGH) - m * _LN2_LOW
        y = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
        y = ((y * (r * r) + r) + _ONE) * powers[k]
        line[k] = _ZERO if x < _LOWEST else y


@helper
def _add_terms(line: Buffer, bits: Buffer, fractions: Buffer, exponents: Buffer, sums: Buffer, n: int) -> None:
    """sums = sums − line·ln(line) for 0 ≤ line ≤ 1; `fractions` is `bits` seen as float32."""
    for k in range(n):
        fractions[k] = line[k]
    for k in range(n):
        exponents[k] = _F((bits[k] >> _FRACTION) - _BEFORE_HALF)
        bits[k] = (bits[k] & _MANTISSA) | _EXPONENT_OF_HALF
    for k in range(n):
        p = line[k]
        m = fractions[k]
        e = exponents[k] - _ONE if m < _ROOT_HALF else exponents[k]
        m = (m + m) - _ONE if m < _ROOT_HALF else m - _ONE
        z = m * m
        y = (((((((_L0 * m + _L1) * m + _L2) * m + _L3) * m + _L4) * m + _L5) * m + _L6) * m + _L7) * m + _L8
        y = (y * m) * z
        y = (y + e * _LN2_LOW) - z * _HALF
        logarithm = (m + y) + e * _LN2_HIGH
        # false for NaN, which then reaches the sum
        sums[k] = sums[k] if p < _TINY else sums[k] - p * logarithm


@kernel
def softmax(target: Flat, shape: Shape) -> None:
    """scores[c, i, j, k] = exp(x − max) / Σ exp(x − max) over c, in place; shape is (channels, i, j, k)."""
    scores, origin, (s_c, s_i, s_j, s_k) = target
    channels, n_i, n_j, n_k = shape
    for job in prange(_JOBS):
        line, top, total = np.empty(n_k, _F), np.empty(n_k, _F), np.empty(n_k, _F)
        bits = np.empty(n_k, np.int32)
        powers = bits.view(_F)
        for row in range(job * n_i * n_j // _JOBS, (job + 1) * n_i * n_j // _JOBS):
            a = origin + (row // n_j) * s_i + (row % n_j) * s_j
            for k in range(n_k):
                top[k] = scores[np.uintp(a + k * s_k)]
                total[k] = _ZERO
            for c in range(1, channels):
                b = a + c * s_c
                for k in range(n_k):
                    x = scores[np.uintp(b + k * s_k)]
                    top[k] = x if x > top[k] else top[k]
            for c in range(channels):
                b = a + c * s_c
                for k in range(n_k):
                    line[k] = scores[np.uintp(b + k * s_k)] - top[k]
                _exponentials(line, bits, powers, n_k)
                for k in range(n_k):
                    total[k] += line[k]
                    scores[np.uintp(b + k * s_k)] = line[k]
            for c in range(channels):
                b = a + c * s_c
                for k in range(n_k):
                    scores[np.uintp(b + k * s_k)] = scores[np.uintp(b + k * s_k)] / total[k]


@kernel
def sigmoid(target: Flat, shape: Shape) -> None:
    """scores = 1 / (1 + exp(−x)), as exp(x) / (1 + exp(x)) below 0, in place."""
    scores, origin, (s_c, s_i, s_j, s_k) = target
    channels, n_i, n_j, n_k = shape
    rows = channels * n_i * n_j
    for job in prange(_JOBS):
        line, bits = np.empty(n_k, _F), np.empty(n_k, np.int32)
        powers = bits.view(_F)
        for row in range(job * rows // _JOBS, (job + 1) * rows // _JOBS):
            c = row // (n_i * n_j)
            rest = row % (n_i * n_j)
            a = origin + c * s_c + (rest // n_j) * s_i + (rest % n_j) * s_j
            for k in range(n_k):
                x = scores[np.uintp(a + k * s_k)]
                line[k] = -x if x >= _ZERO else x
            _exponentials(line, bits, powers, n_k)
            for k in range(n_k):
                above = scores[np.uintp(a + k * s_k)] >= _ZERO
                scores[np.uintp(a + k * s_k)] = (_ONE if above else line[k]) / (_ONE + line[k])


@kernel
def limit(target: Flat, shape: Shape) -> None:
    """scores = min(max(x, 0), 1), in place; NaN stays NaN."""
    scores, origin, (s_c, s_i, s_j, s_k) = target
    channels, n_i, n_j, n_k = shape
    rows = channels * n_i * n_j
    for row in prange(rows):
        c = row // (n_i * n_j)
        rest = row % (n_i * n_j)
        a = origin + c * s_c + (rest // n_j) * s_i + (rest % n_j) * s_j
        for k in range(n_k):
            x = scores[np.uintp(a + k * s_k)]
            x = _ZERO if x < _ZERO else x
            scores[np.uintp(a + k * s_k)] = _ONE if x > _ONE else x


@kernel
def count_improbable(source: Flat, shape: Shape, tolerance: np.float32) -> tuple[int, int]:
    """Voxels with a score outside −tolerance … 1 + tolerance, and with a sum that is off 1 by more than it."""
    scores, origin, (s_c, s_i, s_j, s_k) = source
    channels, n_i, n_j, n_k = shape
    high = _ONE + tolerance
    outside = 0
    off_sum = 0
    for job in prange(_JOBS):
        total, wrong = np.empty(n_k, _F), np.empty(n_k, np.bool_)
        for row in range(job * n_i * n_j // _JOBS, (job + 1) * n_i * n_j // _JOBS):
            a = origin + (row // n_j) * s_i + (row % n_j) * s_j
            for k in range(n_k):
                total[k] = _ZERO
                wrong[k] = False
            for c in range(channels):
                b = a + c * s_c
                for k in range(n_k):
                    x = scores[np.uintp(b + k * s_k)]
                    total[k] += x
                    wrong[k] = wrong[k] or x < -tolerance or x > high
            for k in range(n_k):
                distance = total[k] - _ONE
                outside += wrong[k]
                off_sum += distance > tolerance or -distance > tolerance
    return outside, off_sum


@kernel
def entropy(source: Flat, target: Flat, shape: Shape, exclusive: bool, scale: np.float32) -> None:
    """out[i, j, k] = scale · Σ −p·ln p over c, with the terms of 1 − p unless `exclusive`; limited to 0 … 1."""
    values, origin, (s_c, s_i, s_j, s_k) = source
    out, out_origin, (d_i, d_j, d_k) = target
    channels, n_i, n_j, n_k = shape
    for job in prange(_JOBS):
        line, sums, exponents = np.empty(n_k, _F), np.empty(n_k, _F), np.empty(n_k, _F)
        bits = np.empty(n_k, np.int32)
        fractions = bits.view(_F)
        for row in range(job * n_i * n_j // _JOBS, (job + 1) * n_i * n_j // _JOBS):
            i = row // n_j
            j = row % n_j
            a = origin + i * s_i + j * s_j
            for k in range(n_k):
                sums[k] = _ZERO
            for c in range(channels):
                b = a + c * s_c
                for k in range(n_k):
                    line[k] = values[np.uintp(b + k * s_k)]
                _add_terms(line, bits, fractions, exponents, sums, n_k)
                if not exclusive:
                    for k in range(n_k):
                        line[k] = _ONE - line[k]
                    _add_terms(line, bits, fractions, exponents, sums, n_k)
            at = out_origin + i * d_i + j * d_j
            for k in range(n_k):
                y = sums[k] * scale
                y = _ZERO if y < _ZERO else y
                out[np.uintp(at + k * d_k)] = _ONE if y > _ONE else y
