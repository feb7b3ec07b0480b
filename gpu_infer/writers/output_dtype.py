"""The output dtype: which ones there are, and that every label fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.errors import ConfigError

OUTPUT_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def output_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """`dtype` if it can be written; `ConfigError` otherwise."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in OUTPUT_DTYPES:
        raise ConfigError(
            f"writers.args.dtype {dtype if found is None else found.name!r} cannot be written",
            remedy=f"choose one of {', '.join(OUTPUT_DTYPES)}",
        )
    return found


def fit_labels(labels: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """`labels` (integers, any shape and strides) in the output dtype, memory order kept.

    Raises `ConfigError` that names the label, when one is outside the dtype's range: nothing wraps around or
    is rounded (float32 holds whole numbers up to 2^24).
    """
    target = output_dtype(dtype)
    if labels.dtype == target:
        return labels
    if labels.dtype.kind not in "iu":
        if target.kind == "f" and labels.dtype.kind == "f":
            return labels.astype(target, order="K")
        raise ConfigError(
            f"values of dtype {labels.dtype.name} are no labels of dtype {target.name}",
            remedy="end post_transforms with ArgmaxAcrossChannels or set writers.args.dtype to float32",
        )
    if labels.size:
        low, high = _range(target)
        for label in (int(labels.min()), int(labels.max())):
            if not low <= label <= high:
                raise ConfigError(
                    f"label {label} does not fit the output dtype {target.name} ({low}..{high})",
                    remedy=f"set writers.args.dtype to {_fitting(labels)}",
                )
    return labels.astype(target, order="K")


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind == "f":
        whole = 2 ** (np.finfo(dtype).nmant + 1)
        return -whole, whole
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _fitting(labels: NDArray[Any]) -> str:
    low, high = int(labels.min()), int(labels.max())
    names = ("uint8", "uint16", "int16", "uint32", "int32", "float64")
    ranges = {name: _range(np.dtype(name)) for name in names}
    return next((n for n, (a, b) in ranges.items() if a <= low and high <= b), "float64")
