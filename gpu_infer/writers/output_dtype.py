"""The output dtype: which dtypes a MetaImage can have, and a cast of labels that changes no value."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.errors import ConfigError
from gpu_infer.volume.checks import DType, Voxels

OUTPUT_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""What MetaImage readers take; label maps have one of the integers."""

_SUGGESTED = ("uint8", "uint16", "int16", "uint32", "int32")


def output_dtype(dtype: DTypeLike) -> DType:
    """Return `dtype` as a NumPy dtype. Raises `ConfigError` if it cannot be written."""
    try:
        target = np.dtype(dtype)
    except TypeError:
        target = None
    if target is None or target.name not in OUTPUT_DTYPES:
        raise ConfigError(
            f"writers.args.dtype {dtype if target is None else target.name!r} cannot be written",
            remedy=f"choose one of {', '.join(OUTPUT_DTYPES)}",
        )
    return target


def cast_labels(labels: Voxels, dtype: DTypeLike) -> Voxels:
    """Return `labels` (integers, any shape and strides) in the integer `dtype`, in the same memory order.

    Labels that have this dtype are returned as they are. Raises `ConfigError`, which names the label, if one is outside
    the dtype's range: nothing wraps around.
    """
    target = output_dtype(dtype)
    if labels.dtype == target:
        return labels
    assert labels.dtype.kind in "iu", labels.dtype
    assert target.kind in "iu", target
    if labels.size:
        limits = np.iinfo(target)
        low, high = int(labels.min()), int(labels.max())
        for label in (low, high):
            if not limits.min <= label <= limits.max:
                raise ConfigError(
                    f"label {label} does not fit the output dtype {target.name} ({limits.min}..{limits.max})",
                    remedy=_remedy(low, high),
                )
    return labels.astype(target, order="K")


def _remedy(low: int, high: int) -> str:
    for name in _SUGGESTED:
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return f"set writers.args.dtype to {name}"
    return "no output dtype holds all labels: change them in post_transforms"
