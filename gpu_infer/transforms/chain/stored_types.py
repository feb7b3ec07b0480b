"""Stored voxel types, and how the few that the kernels do not read are widened."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import InputError

_log = logging.getLogger(__name__)

KERNEL_TYPES = frozenset({"i1", "i2", "i4", "u1", "u2", "u4", "f2", "f4", "f8"})


def uploaded_dtype(stored: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which voxels of dtype `stored` go to the device; InputError where they are no numbers."""
    if stored.str[1:] in KERNEL_TYPES:
        return stored
    if stored.kind == "b":
        return np.dtype(np.uint8)
    if stored.kind in "iu" or (stored.kind == "f" and stored.itemsize > 8):
        return np.dtype(np.float64)
    raise InputError(
        f"voxels of type {stored} cannot be processed: expected integers or floating point numbers",
        remedy="convert the volume to one intensity per voxel",
    )


def readable(data: NDArray[Any]) -> NDArray[Any]:
    """`data` itself, or a host copy in `uploaded_dtype` where kernels do not read its dtype."""
    target = uploaded_dtype(data.dtype)
    if target == data.dtype:
        return data
    if target == np.uint8:
        return data.view(np.uint8)
    _log.info("voxels of type %s are converted to %s before the upload", data.dtype, target)
    return data.astype(target)
