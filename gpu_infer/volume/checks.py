"""What every reader checks before it hands a volume on: a sound grid, and a dtype that kernels take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .geometry import Geometry

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


def not_finite(data: NDArray[Any]) -> tuple[str, ...]:
    """A warning where voxels of `data` [C, I, J, K] are NaN or infinite; counted slice by slice.

    A model answers such a voxel, and whatever lies within its reach, with NaN, of which argmax makes background.
    """
    if data.dtype.kind != "f":
        return ()
    slices = (channel[:, :, k] for channel in data for k in range(channel.shape[2]))
    count = sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in slices)
    if not count:
        return ()
    return (f"{count} of {data.size} voxels are NaN or infinite: labels at and around them mean nothing",)


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
    raise InputError(
        f"{path}: voxel type {dtype} is not supported, expected one of {', '.join(SUPPORTED_DTYPES)}",
        remedy="save the volume as int16 or float32",
    )


def _rows(affine: NDArray[np.float64]) -> str:
    return "[" + "; ".join(" ".join(f"{v:g}" for v in row) for row in affine[:3]) + "]"
