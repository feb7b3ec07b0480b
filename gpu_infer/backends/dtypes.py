"""Which dtypes the kernels read, in one table.

    voxels             who needs them                              where they are read
    i1 u1 i2 u2 i4 u4  integers of files, label maps               every kernel of STORED
    f2                 FP16 outputs of models, files made of them  every kernel of STORED; the CPU widens to f4 first
    f4 f8              floats of files                             every kernel of STORED; f8 becomes f4 as it is read
    i8 u8              arrays of programs; no format of volumes    kernels of ARRAYS, and of STORED, but the host
                                                                   converts files'
    b1                 arrays of programs; files have u1           kernels of ARRAYS; the host views files' as u1
    c8 c16             arrays of programs                          part by part, as f4 and f8
    f16, others        nothing                                     refused

Either byte order is read; what a kernel writes has the native one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

STORED = ("i1", "u1", "i2", "u2", "i4", "u4", "f2", "f4", "f8")
"""Voxels in a backend during a run: stored volumes, scores and labels."""

ARRAYS = ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
"""Arrays of programs on a device, for `gpu_infer.zoom` and `gpu_infer.sliding_window_inference`. The order is that of
the numbers in arrays.cu."""

MODEL = (np.dtype(np.float32), np.dtype(np.float16))
"""Slots, and the volumes that windows are gathered from: Triton's FP32 and FP16, in the native byte order."""

LABELS = (np.dtype(np.uint8), np.dtype(np.uint16))
"""Label maps in a backend, in the native byte order. `backends.labels.label_dtype` chooses between them."""


def is_real(dtype: np.dtype[Any]) -> bool:
    """Whether the dtype is an integer or a float of up to 8 bytes, which every kernel of voxels accepts."""
    return dtype.kind in "iuf" and dtype.itemsize <= 8
