"""Read windows out of a grid, and add windows to sums of a whole grid, by a table of where all windows of the grid are.

`windows.gather_windows` and `windows.add_windows` do the same for any windows and for sums that roll. Here a call has
few arguments, none of them a tuple, since for small windows it may not cost more than the window.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.half import converted
from gpu_infer.backends.cpu.kernels.jit import Buffer, kernel, serial
from gpu_infer.backends.cpu.kernels.prefetch import STEP, prefetch, reach

_PLANES = 1
"""Planes of a window by which rows are prefetched: a small window has no row 8 rows ahead (`prefetch.AHEAD`)."""


@kernel
def read_windows(source: Buffer, sizes: Buffer, starts: Buffer, first: int, output: Buffer) -> None:
    """out[n, c, i, j, k] = src[c, starts[first + n] + (i, j, k)]; out is contiguous, and windows are inside src.

    sizes  int64 [9]: shape (c, i, j, k) of a window, index of the first element in `source`, strides (c, i, j, k)
    """
    n_c, n_i, n_j, n_k = sizes[0], sizes[1], sizes[2], sizes[3]
    src_offset, s_c, s_i, s_j, s_k = sizes[4], sizes[5], sizes[6], sizes[7], sizes[8]
    for plane in prange(len(output) // (n_j * n_k)):
        i = plane % n_i
        c = plane // n_i % n_c
        n = first + plane // (n_i * n_c)
        a = src_offset + c * s_c + (starts[n, 0] + i) * s_i + starts[n, 1] * s_j + starts[n, 2] * s_k
        at = plane * n_j * n_k
        for _ in range(n_j):
            for k in range(0, reach(n_k), STEP):
                prefetch(source, np.uintp(a + _PLANES * s_i + k * s_k))
            for k in range(n_k):
                output[np.uintp(at + k)] = source[np.uintp(a + k * s_k)]
            a += s_j
            at += n_k


@kernel
def add_to_grid(
    source: Buffer,
    sums: Buffer,
    sizes: Buffer,
    starts: Buffer,
    repeats: Buffer,
    first: int,
    importance: Buffer,
    weighted: bool,
) -> None:
    """sums[c, starts[m] + (i, j, k)] += (repeats[m] · weights[i, j, k]) · src[n, c, i, j, k], m = first + n ascending.

    src is float32 or float16 bits, clipped to the grid. All arrays are contiguous. Each factor, product and sum is
    rounded to float32. `importance` is read only if `weighted`, else weights are 1.

    sizes  int64 [7]: shape (c, i, j, k) of a window, and that of the grid (i, j, k)
    """
    n_c, n_i, n_j, n_k = sizes[0], sizes[1], sizes[2], sizes[3]
    x_size, y_size, z_size = sizes[4], sizes[5], sizes[6]
    end = first + len(source) // (n_c * n_i * n_j * n_k)
    low, high = x_size, 0
    for n in range(first, end):
        low = min(low, max(starts[n, 0], 0))
        high = max(high, min(starts[n, 0] + n_i, x_size))
    planes = max(high - low, 0)
    for plane in prange(n_c * planes):  # threads share planes of the grid, never windows: each sum has one order
        c = plane // planes
        x = low + plane % planes
        for n in range(first, end):
            i = x - starts[n, 0]
            if i < 0 or i >= n_i:
                continue
            y, z, times = starts[n, 1], starts[n, 2], repeats[n]
            j_low, j_high = max(-y, 0), min(n_j, y_size - y)
            k_low, k_high = max(-z, 0), min(n_k, z_size - z)
            a = ((((n - first) * n_c + c) * n_i + i) * n_j + j_low) * n_k
            w = (i * n_j + j_low) * n_k
            at = ((c * x_size + x) * y_size + y + j_low) * z_size + z
            for _ in range(j_low, j_high):
                for k in range(k_low, k_low + reach(k_high - k_low), STEP):
                    prefetch(sums, np.uintp(at + _PLANES * y_size * z_size + k))
                if weighted:
                    for k in range(k_low, k_high):
                        value = converted(source[np.uintp(a + k)], sums)
                        sums[np.uintp(at + k)] += (times * importance[np.uintp(w + k)]) * value
                else:
                    for k in range(k_low, k_high):
                        sums[np.uintp(at + k)] += times * converted(source[np.uintp(a + k)], sums)
                a += n_k
                w += n_k
                at += z_size


read_windows_serial = serial(read_windows)
add_to_grid_serial = serial(add_to_grid)
