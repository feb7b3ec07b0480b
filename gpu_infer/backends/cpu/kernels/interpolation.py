"""Steps that the two kernels of linear resampling share: `prepare.resample` and `restore_argmax.restore_argmax`.

Every interpolation is (1 − w)·x + w·y in float32, and x alone if w is 0, so that an infinite or NaN neighbour without
weight does not leak.
"""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.cpu.kernels.jit import Buffer, helper


@helper
def tile_span(lower: Buffer, upper: Buffer, begin: int, end: int) -> tuple[int, int]:
    """The first and last input that entries begin … end − 1 of a table read."""
    first = min(np.int64(lower[begin]), np.int64(upper[begin]))
    last = first
    for n in range(begin, end):
        first = min(first, min(lower[n], upper[n]))
        last = max(last, max(lower[n], upper[n]))
    return int(first), int(last)


@helper
def mix_rows(plane: Buffer, a: int, b: int, w: np.float32, line: Buffer, n: int) -> None:
    """line = mix of the n values of the plane from a and from b on."""
    if w == 0:
        for i in range(n):
            line[i] = plane[np.uintp(a + i)]
        return
    rest = np.float32(1.0) - w
    for i in range(n):
        line[i] = rest * plane[np.uintp(a + i)] + w * plane[np.uintp(b + i)]
