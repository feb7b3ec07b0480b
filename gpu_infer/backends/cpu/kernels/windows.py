"""Gather windows into slots, and add windows of scores to the rolling sums: one call for a group of windows.

Kernels clip windows to the grid themselves, so that a window costs no Python.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.half import converted
from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel, serial
from gpu_infer.backends.cpu.kernels.prefetch import AHEAD, STEP, prefetch, reach
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape


@helper
def _inside(start: int, length: int, size: int) -> tuple[int, int]:
    """The indices low ≤ k < high of a window on one axis that are inside the grid; before low is before the grid."""
    low = min(max(-start, 0), length)
    return low, max(low, min(length, size - start))


@kernel
def gather_windows(
    source: Flat, size: Shape, output: Flat, shape: Shape, starts: Buffer, fill: Buffer, edge: bool
) -> None:
    """out[n, c, i, j, k] = src[c, starts[n] + (i, j, k)] over `shape`, float32 or float16 bits.

    Outside `size`: fill[0], of the output's type, or the nearest voxel of src with `edge`.
    """
    src, src_offset, (s_c, s_i, s_j, s_k) = source
    out, out_offset, (d_n, d_c, d_i, d_j, d_k) = output
    n_n, n_c, n_i, n_j, n_k = shape
    x_size, y_size, z_size = size
    for row in prange(n_n * n_c * n_i):
        i = row % n_i
        c = row // n_i % n_c
        n = row // (n_i * n_c)
        x = starts[n, 0] + i
        low, high = _inside(starts[n, 2], n_k, z_size)
        is_outside_x = x < 0 or x >= x_size
        x = min(max(x, 0), x_size - 1)
        for j in range(n_j):
            y = starts[n, 1] + j
            at = out_offset + n * d_n + c * d_c + i * d_i + j * d_j
            if not edge and (is_outside_x or y < 0 or y >= y_size):
                for k in range(n_k):
                    out[np.uintp(at + k * d_k)] = fill[0]
                continue
            y = min(max(y, 0), y_size - 1)
            a = src_offset + c * s_c + x * s_i + y * s_j
            before, after = fill[0], fill[0]
            if edge:
                before = converted(src[np.uintp(a)], out)
                after = converted(src[np.uintp(a + (z_size - 1) * s_k)], out)
            for k in range(low):
                out[np.uintp(at + k * d_k)] = before
            a += starts[n, 2] * s_k
            for k in range(0, reach(n_k), STEP):
                prefetch(src, np.uintp(a + AHEAD * s_j + k * s_k))
            for k in range(low, high):
                out[np.uintp(at + k * d_k)] = converted(src[np.uintp(a + k * s_k)], out)
            for k in range(high, n_k):
                out[np.uintp(at + k * d_k)] = after


@kernel
def add_windows(
    source: Flat,
    accumulator: Flat,
    heights: Shape,
    size: Shape,
    shape: Shape,
    rows: Shape,
    starts: Buffer,
    repeats: Buffer,
    importance: Flat,
    weighted: bool,
    totals: Flat,
    totalled: bool,
) -> None:
    """sums[c, (starts[n] + (i, j, k)) % heights] += (repeats[n] · weights[i, j, k]) · src[n, c, i, j, k], n ascending.

    src is float32 or float16 bits, clipped to a grid of `size`. Each factor, product and sum is rounded to float32. The
    totals get repeats[n] · weights[i, j, k] if `totalled`; `importance` is read only if `weighted`, else weights are 1.

    rows  first and last + 1 index of the grid's first axis that windows touch. Threads share them, never windows: each
          sum has one order
    """
    src, src_offset, (s_n, s_c, s_i, s_j, s_k) = source
    sums, sums_offset, (d_c, d_i, d_j, d_k) = accumulator
    weights, weights_offset, (w_i, w_j, w_k) = importance
    total, total_offset, (t_i, t_j, t_k) = totals
    h_i, h_j, h_k = heights
    n_n, n_c, n_i, n_j, n_k = shape
    first, end = rows
    for row in prange(n_c * (end - first)):
        c = row // (end - first)
        x = first + row % (end - first)
        plane, total_plane = sums_offset + c * d_c + (x % h_i) * d_i, total_offset + (x % h_i) * t_i
        for n in range(n_n):
            i = x - starts[n, 0]
            if i < 0 or i >= n_i:
                continue
            times = repeats[n]
            j_low, j_high = _inside(starts[n, 1], n_j, size[1])
            k_low, k_high = _inside(starts[n, 2], n_k, size[2])
            # divisions cost as much as a row of voxels
            y_place, z_place = (starts[n, 1] + j_low) % h_j, (starts[n, 2] + k_low) % h_k
            for j in range(j_low, j_high):
                a = src_offset + n * s_n + c * s_c + i * s_i + j * s_j
                w = weights_offset + i * w_i + j * w_j
                at, t = plane + y_place * d_j, total_plane + y_place * t_j
                k, z = k_low, z_place
                while k < k_high:  # twice at most: the sums are a ring
                    stop = min(k_high, k + h_k - z)
                    to_sums, to_total = at + (z - k) * d_k, t + (z - k) * t_k
                    for q in range(k, k + reach(stop - k), STEP):
                        prefetch(sums, np.uintp(to_sums + AHEAD * d_j + q * d_k))
                    if weighted:
                        for q in range(k, stop):
                            value = converted(src[np.uintp(a + q * s_k)], sums)
                            sums[np.uintp(to_sums + q * d_k)] += (times * weights[np.uintp(w + q * w_k)]) * value
                    else:
                        for q in range(k, stop):
                            sums[np.uintp(to_sums + q * d_k)] += times * converted(src[np.uintp(a + q * s_k)], sums)
                    if totalled and c == 0 and weighted:
                        for q in range(k, stop):
                            total[np.uintp(to_total + q * t_k)] += times * weights[np.uintp(w + q * w_k)]
                    elif totalled and c == 0:
                        for q in range(k, stop):
                            total[np.uintp(to_total + q * t_k)] += times
                    k, z = stop, 0
                y_place = y_place + 1 if y_place + 1 < h_j else 0


@kernel
def add_windows_to_parts(
    source: Flat,
    sums: Buffer,
    parts: Buffer,
    shape: Shape,
    rows: Shape,
    starts: Buffer,
    repeats: Buffer,
    importance: Flat,
    weighted: bool,
    total: Buffer,
    totalled: bool,
) -> None:
    """`add_windows` to sums in parts of one memory, all of them in one pass over src.

    parts  [P, 18], of each part: first index and end along i, j and k in the grid; heights of the sums; index of its
           sums in `sums` and their strides (c, i, j, k); index of its totals in `total` and their strides (i, j, k).
           Windows are clipped to them
    """
    src, src_offset, (s_n, s_c, s_i, s_j, s_k) = source
    weights, weights_offset, (w_i, w_j, w_k) = importance
    n_n, n_c, n_i, n_j, n_k = shape
    first, end = rows
    for row in prange(n_c * (end - first)):
        c = row // (end - first)
        x = first + row % (end - first)
        for n in range(n_n):
            i = x - starts[n, 0]
            if i < 0 or i >= n_i:
                continue
            y, z, times = starts[n, 1], starts[n, 2], repeats[n]
            # a plane of the window stays in the cache until the last part has it
            for p in range(parts.shape[0]):
                j_low, j_high = max(parts[p, 1] - y, 0), min(parts[p, 4] - y, n_j)
                k, k_high = max(parts[p, 2] - z, 0), min(parts[p, 5] - z, n_k)
                if x < parts[p, 0] or x >= parts[p, 3] or j_low >= j_high:
                    continue
                h_j, h_k = parts[p, 7], parts[p, 8]
                d_j, d_k = parts[p, 12], parts[p, 13]
                t_j, t_k = parts[p, 16], parts[p, 17]
                x_place = (x - parts[p, 0]) % parts[p, 6]
                z_place = (z + k - parts[p, 2]) % h_k
                while k < k_high:  # twice at most: the sums are a ring
                    length = min(k_high - k, h_k - z_place)
                    a = src_offset + n * s_n + c * s_c + i * s_i + j_low * s_j + k * s_k
                    w = weights_offset + i * w_i + j_low * w_j + k * w_k
                    plane = parts[p, 9] + c * parts[p, 10] + x_place * parts[p, 11] + z_place * d_k
                    total_plane = parts[p, 14] + x_place * parts[p, 15] + z_place * t_k
                    y_place = (y + j_low - parts[p, 1]) % h_j
                    for _ in range(j_low, j_high):
                        at, t = plane + y_place * d_j, total_plane + y_place * t_j
                        if weighted:
                            for q in range(length):
                                value = converted(src[np.uintp(a + q * s_k)], sums)
                                sums[np.uintp(at + q * d_k)] += (times * weights[np.uintp(w + q * w_k)]) * value
                        else:
                            for q in range(length):
                                sums[np.uintp(at + q * d_k)] += times * converted(src[np.uintp(a + q * s_k)], sums)
                        if totalled and c == 0 and weighted:
                            for q in range(length):
                                total[np.uintp(t + q * t_k)] += times * weights[np.uintp(w + q * w_k)]
                        elif totalled and c == 0:
                            for q in range(length):
                                total[np.uintp(t + q * t_k)] += times
                        a += s_j
                        w += w_j
                        y_place = y_place + 1 if y_place + 1 < h_j else 0
                    k += length
                    z_place = 0


gather_windows_serial = serial(gather_windows)
add_windows_serial = serial(add_windows)
add_windows_to_parts_serial = serial(add_windows_to_parts)
