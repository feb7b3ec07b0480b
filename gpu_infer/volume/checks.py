"""What every reader checks before it hands a volume on: a sound grid, and a dtype that kernels take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import InputError
from gpu_infer.volume.geometry import Geometry

SUPPORTED_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")

_FARTHEST_MM = 1e9  # nothing in a scanner is a thousand kilometres away; a damaged header is
_SINGULAR = 1e-6  # |det| of the unit columns; 1e-6 is an angle of 0.2 arc seconds between two axes


def check_geometry(geometry: Geometry, path: Path) -> None:
    """Raise `InputError` for an empty grid, NaN or infinity in the affine, zero spacing, dependent axes."""
    if min(geometry.shape) < 1:
        raise InputError(
            f"{path}: shape {geometry.shape} has an empty axis, expected at least one voxel per axis",
            remedy="export the volume again",
        )
    if not np.isfinite(geometry.affine).all():
        raise InputError(
            f"{path}: NaN or infinity in the affine {_rows(geometry.affine)}, expected finite numbers",
            remedy="repair the header's orientation or export the volume again",
        )
    if np.abs(geometry.affine).max() > _FARTHEST_MM:
        raise InputError(
            f"{path}: affine {_rows(geometry.affine)}, expected numbers below {_FARTHEST_MM:g} mm",
            remedy="repair the header's orientation or export the volume again",
        )
    spacing = geometry.spacing
    if min(spacing) == 0.0:
        axis = spacing.index(0.0)
        raise InputError(
            f"{path}: spacing is 0 along axis {axis}, found {spacing} mm, expected positive numbers",
            remedy="repair the spacing in the header",
        )
    if abs(np.linalg.det(geometry.affine[:3, :3] / np.asarray(spacing))) < _SINGULAR:
        raise InputError(
            f"{path}: singular affine {_rows(geometry.affine)}, expected three independent axes",
            remedy="repair the header's orientation or export the volume again",
        )


def check_finite_voxels(
    data: NDArray[Any], value: float | None = None, stored: float | None = None
) -> tuple[int, tuple[str, ...]]:
    """How many voxels of `data` [C, I, J, K] are NaN or infinite, and a warning if there are any.

    With `value` (physical units) and `stored` (the same as stored) they are replaced in place. A model answers such a
    voxel, and whatever lies within its reach, with NaN, of which argmax makes background.
    """
    if data.dtype.kind != "f":
        return 0, ()
    count = 0
    for channel in data:
        for k in range(channel.shape[2]):
            part = channel[:, :, k]
            finite = np.isfinite(part)
            wrong = part.size - int(np.count_nonzero(finite))
            if wrong and stored is not None:
                part[~finite] = stored
            count += wrong
    if not count:
        return 0, ()
    if value is not None:
        return 0, (f"{count} of {data.size} voxels are NaN or infinite: replaced by {value:g}",)
    return count, (f"{count} of {data.size} voxels are NaN or infinite: labels at and around them mean nothing",)


def kept_dtype(stored: np.dtype[Any], path: Path) -> np.dtype[Any]:
    """dtype that `narrow` makes of `stored`; int32 also stands for uint32. Raises `InputError` as `narrow` does."""
    if stored.name in SUPPORTED_DTYPES:
        return stored.newbyteorder("=")
    if stored.kind in "iu":
        return np.dtype(np.int32)
    if stored.kind == "f" and stored.itemsize > 8:
        return np.dtype(np.float64)
    raise _unsupported(stored, path)


def kept_extra(stored: np.dtype[Any], count: int) -> int:
    """Bytes that the `count` stored values take in memory until `narrow` has made supported ones of them."""
    return 0 if stored.name in SUPPORTED_DTYPES and stored.isnative else count * stored.itemsize


def narrow(data: NDArray[Any], path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """`data` in a supported dtype and native byte order, and a warning where the dtype had to change.

    64-bit integers become int32 or uint32 when every value fits and are refused otherwise: float32 would
    round labels. Long doubles become float64. Memory order is kept. Raises `InputError` for every other
    dtype.
    """
    dtype = data.dtype
    if dtype.name in SUPPORTED_DTYPES:
        if dtype.isnative:
            return data, ()
        return data.astype(dtype.newbyteorder("="), order="K"), ()
    if dtype.kind in "iu":
        low, high = int(data.min()), int(data.max())
        for name in ("int32", "uint32"):
            limits = np.iinfo(name)
            if limits.min <= low and high <= limits.max:
                return data.astype(name, order="K"), (f"stored as {dtype.name}, kept as {name}: all values fit",)
        raise InputError(
            f"{path}: {dtype.name} values {low}..{high} do not fit 32 bits",
            remedy="save the volume as int32 or float32",
        )
    if dtype.kind == "f" and dtype.itemsize > 8:
        return data.astype(np.float64, order="K"), (f"stored as {dtype.name}, kept as float64",)
    raise _unsupported(dtype, path)


def _unsupported(dtype: np.dtype[Any], path: Path) -> InputError:
    return InputError(
        f"{path}: voxel type {dtype} is not supported, expected one of {', '.join(SUPPORTED_DTYPES)}",
        remedy="save the volume as int16 or float32",
    )


def _rows(affine: NDArray[np.float64]) -> str:
    return "[" + "; ".join(" ".join(f"{v:g}" for v in row) for row in affine[:3]) + "]"
