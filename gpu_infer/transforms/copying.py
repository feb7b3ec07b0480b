"""Copying voxels from one array of the backend to another."""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.tables import ClampedAffine


def copy_voxels(source: Array, target: Array, backend: Backend) -> None:
    """target = source, [C, X, Y, Z] of one dtype. It runs on our kernels: CuPy would compile one for an assignment."""
    if not source.size:
        return
    if source.dtype == np.float32:
        backend.resample(source, target, None, ClampedAffine(), ClampedAffine())
    elif source.dtype.kind in "iu":
        x, y, z = (identity_table(n) for n in source.shape[1:])
        for channel in range(source.shape[0]):
            backend.resample_labels(source[channel], (x, y, z), target[channel])
    else:  # only a custom transform makes such a dtype
        target[...] = source
