"""Checks that every reader makes before it returns a volume: a valid grid, and a dtype that the kernels take.

dtypes that can be read, as they are stored and in memory:

| stored                       | in memory       | reason                                                             |
|------------------------------|-----------------|--------------------------------------------------------------------|
| int8 uint8 int16 uint16      | unchanged       | every kernel reads them                                            |
| int32 uint32                 | unchanged       | every kernel reads them                                            |
| float32 float64              | unchanged       | every kernel reads them                                            |
| int64 uint64                 | int32 or uint32 | if all values fit, else refused: float32 would round labels        |
| long double (NIfTI float128) | float64         | no kernel has more digits                                          |
| float16, bool, complex, RGB  | refused         | no format stores float16 or bool; the others are no scalar values  |

Byte orders other than the machine's are swapped. `SUPPORTED_DTYPES` and `_CONVERTED` are this table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import InputError
from gpu_infer.volume.geometry import Geometry

Voxels = NDArray[Any]
"""Array of any dtype of the table above, or of their results in physical units."""

DType = np.dtype[Any]

SUPPORTED_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
"""dtypes of voxels in memory."""

_CONVERTED = {
    "int64": ("int32", "uint32"),
    "uint64": ("int32", "uint32"),
    np.dtype(np.longdouble).name: ("float64",),
}
"""Stored dtypes that no kernel reads, with the dtypes that may replace them, the preferred one first."""

_FARTHEST_MM = 1e9  # no scanner is a thousand kilometres large; a larger number comes from a damaged header
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
            f"{path}: NaN or infinity in the affine {_format_affine(geometry.affine)}, expected finite numbers",
            remedy="repair the header's orientation or export the volume again",
        )
    if np.abs(geometry.affine).max() > _FARTHEST_MM:
        raise InputError(
            f"{path}: affine {_format_affine(geometry.affine)}, expected numbers below {_FARTHEST_MM:g} mm",
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
            f"{path}: singular affine {_format_affine(geometry.affine)}, expected three independent axes",
            remedy="repair the header's orientation or export the volume again",
        )


def check_finite_voxels(
    data: Voxels, value: float | None = None, stored: float | None = None
) -> tuple[int, tuple[str, ...]]:
    """Count the voxels of `data` [C, I, J, K] that are NaN or infinite, and warn of them.

    With `value` (physical units) and `stored` (the same value as stored), these voxels are replaced in place, and the
    count is 0. Without them they stay: a model computes NaN at such a voxel and around it, as far as its receptive
    field goes, and argmax makes background of NaN.

    Returns:
        The number of voxels that are still not finite, and warnings of one line each.
    """
    if data.dtype.kind != "f":
        return 0, ()
    count = 0
    for channel in data:
        for k in range(channel.shape[2]):
            part = channel[:, :, k]
            is_finite = np.isfinite(part)
            invalid = part.size - int(np.count_nonzero(is_finite))
            if invalid and stored is not None:
                part[~is_finite] = stored
            count += invalid
    return 0 if value is not None else count, finite_warnings(count, data.size, value)


def finite_warnings(count: int, size: int, value: float | None) -> tuple[str, ...]:
    """Warnings about `count` voxels of `size` that are NaN or infinite; `value` replaces them, None: they stay."""
    if not count:
        return ()
    if value is not None:
        return (f"{count} of {size} voxels are NaN or infinite: replaced by {value:g}",)
    return (f"{count} of {size} voxels are NaN or infinite: labels at and around them mean nothing",)


def memory_dtype(stored: DType, path: Path) -> DType:
    """Return the dtype in memory of voxels stored as `stored`, before any is read.

    int32 also stands for uint32, since only the values decide between the two. Raises `InputError` if the dtype cannot
    be read.
    """
    if stored.name in SUPPORTED_DTYPES:
        return stored.newbyteorder("=")
    return np.dtype(_replacements(stored, path)[0])


def conversion_bytes(stored: DType, count: int) -> int:
    """Return the bytes that `count` stored values take in memory while `convert_voxels` makes the voxels of them."""
    return 0 if stored.name in SUPPORTED_DTYPES else count * stored.itemsize


def convert_voxels(data: Voxels, path: Path) -> tuple[Voxels, tuple[str, ...]]:
    """Return `data` in a supported dtype and native byte order, and a warning if the dtype had to change.

    Bytes are swapped in place, so that no second array is needed. The memory order does not change. Raises `InputError`
    if the dtype cannot be read, or if 64-bit integers do not fit 32 bits.
    """
    dtype = data.dtype
    if dtype.name in SUPPORTED_DTYPES:
        if dtype.isnative:
            return data, ()
        return data.byteswap(inplace=True).view(dtype.newbyteorder("=")), ()
    names = _replacements(dtype, path)
    if dtype.kind == "f":
        return data.astype(names[0], order="K"), (f"stored as {dtype.name}, kept as {names[0]}",)
    low, high = int(data.min()), int(data.max())
    for name in names:
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return data.astype(name, order="K"), (f"stored as {dtype.name}, kept as {name}: all values fit",)
    raise InputError(
        f"{path}: {dtype.name} values {low}..{high} do not fit 32 bits",
        remedy="save the volume as int32 or float32",
    )


def _replacements(dtype: DType, path: Path) -> tuple[str, ...]:
    if dtype.name not in _CONVERTED:
        raise InputError(
            f"{path}: voxel type {dtype} is not supported, expected one of {', '.join(SUPPORTED_DTYPES)}",
            remedy="save the volume as int16 or float32",
        )
    return _CONVERTED[dtype.name]


def _format_affine(affine: NDArray[np.float64]) -> str:
    return "[" + "; ".join(" ".join(f"{v:g}" for v in row) for row in affine[:3]) + "]"
