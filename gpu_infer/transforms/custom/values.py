"""Checks of what hooks of custom transforms return, other than arrays.

Each check takes the value, the transform and the arguments of the hook. It returns the value, in the type that chains
expect, or raises UnexpectedResultError.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, get_args

from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.transforms.base import (
    ChannelMask,
    ChannelReduction,
    Crop,
    Interpolation,
    Load,
    Measured,
    Pointwise,
    Regrid,
    Transform,
)
from gpu_infer.transforms.custom.errors import UnexpectedResultError
from gpu_infer.transforms.field import Kind
from gpu_infer.volume.geometry import Orientation, Shape3

Check = Callable[..., Any]


def whole_numbers(value: Any, expected: str, *, least: int | None = 1, found: object = None) -> Shape3:
    """Three whole numbers as integers; `least` is the smallest that is allowed, `found` what an error shows."""
    found = value if found is None else found
    entries = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(entries) != 3 or not all(_is_whole(n) and (least is None or n >= least) for n in entries):
        raise UnexpectedResultError(expected, found)
    x, y, z = map(int, entries)
    return (x, y, z)


def anything(value: Any, transform: Transform, *arguments: Any) -> Any:
    """No check: only exceptions of the hook matter."""
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


def _names(value: Any, transform: Transform) -> tuple[str, ...]:
    if not isinstance(value, (tuple, list)) or not all(isinstance(name, str) for name in value):
        raise UnexpectedResultError("a tuple of names", value)
    return tuple(value)


def _flag(value: Any, transform: Transform) -> bool:
    if not isinstance(value, bool):
        raise UnexpectedResultError("True or False", value)
    return value


def _needs_array(value: Any, transform: Transform) -> bool:
    if not _flag(value, transform) and getattr(type(transform), "function", None) is Measured.function:
        raise UnexpectedResultError("True", value, remedy="or add `function`, which is called instead of `measure`")
    return bool(value)


def _fusable(value: Any, transform: Transform) -> bool:
    """No stage runs a transform of a fusable kind alone, and a pass needs `add_to_pass`."""
    kinds = (Load, Pointwise, Regrid, Crop)
    if isinstance(transform, kinds) and not _flag(value, transform):
        raise UnexpectedResultError("True", value, remedy="make it a Barrier, which is a stage of its own")
    if value and type(transform).add_to_pass is Transform.add_to_pass:
        raise UnexpectedResultError("False", value, remedy="only Load, Pointwise, Regrid and Crop can be in a pass")
    return _flag(value, transform)


def _finalizer(value: Any, transform: Transform) -> str | None:
    kinds = {"argmax": ChannelReduction, "masks": ChannelMask}
    if value is not None and not (isinstance(value, str) and isinstance(transform, kinds.get(value, ()))):
        raise UnexpectedResultError(
            'None, "argmax" for a ChannelReduction or "masks" for a ChannelMask', value, remedy="leave it out"
        )
    return value if value is None else str(value)


def _channels(value: Any, transform: Transform) -> int | None:
    if value is not None and not (_is_whole(value) and value >= 1):
        raise UnexpectedResultError("a number of channels or None", value)
    return value if value is None else int(value)


def _nan(value: Any, transform: Transform) -> float | None:
    if value is not None and not _is_finite(value):
        raise UnexpectedResultError("a finite number or None", value)
    return value if value is None else float(value)


def _text(value: Any, transform: Transform) -> str:
    if not isinstance(value, str):
        raise UnexpectedResultError("a text", value)
    return value


def _interpolation(value: Any, transform: Transform) -> str:
    if value not in get_args(Interpolation):
        raise UnexpectedResultError('"linear" or "nearest"', value)
    return str(value)


def _thresholds(value: Any, transform: Transform) -> tuple[float, ...]:
    if not isinstance(value, (tuple, list)) or not value or not all(map(_is_finite, value)):
        raise UnexpectedResultError("a tuple of finite numbers", value)
    return tuple(map(float, value))


def _function(value: Any, transform: Transform, *arguments: Any) -> ClampedAffine:
    if not isinstance(value, ClampedAffine):
        raise UnexpectedResultError("a ClampedAffine", value)
    factors, limits = (value.scale, value.shift, value.centre), (value.low, value.high)
    if not all(map(_is_finite, factors)):
        raise UnexpectedResultError("a ClampedAffine with a finite scale, shift and centre", value)
    if not all(map(_is_number, limits)) or not value.low <= value.high:
        raise UnexpectedResultError("a ClampedAffine with low ≤ high", value)
    return value


def _tables(value: Any, transform: Transform, field: Any, *_: Any) -> tuple[Shape3, tuple[AxisTable, ...]]:
    expected = "a shape (X, Y, Z) and one AxisTable per axis"
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise UnexpectedResultError(expected, value)
    shape, tables = whole_numbers(value[0], expected), value[1]
    if not isinstance(tables, (tuple, list)) or len(tables) != 3:
        raise UnexpectedResultError(expected, tables)
    for axis, table, size, samples in zip("XYZ", tables, shape, field.shape, strict=True):
        if not isinstance(table, AxisTable):
            raise UnexpectedResultError(expected, table)
        if not table.lower.shape == table.upper.shape == table.weight.shape == (size,):
            raise UnexpectedResultError(
                f"{size} entries in the table of {axis}, as in its shape", found=f"{len(table)}"
            )
        low, high = min(table.lower.min(), table.upper.min()), max(table.lower.max(), table.upper.max())
        if low < 0 or high >= samples:
            raise UnexpectedResultError(f"indices 0 … {samples - 1} in the table of {axis}", found=f"{low} … {high}")
        if not (table.weight.min() >= 0 and table.weight.max() <= 1):  # false for NaN
            raise UnexpectedResultError(
                f"weights 0 … 1 in the table of {axis}", found=f"{table.weight.min():g} … {table.weight.max():g}"
            )
    return shape, tuple(tables)


def _box(value: Any, transform: Transform, field: Any, *_: Any) -> tuple[Shape3, Shape3]:
    expected = "a first index (X, Y, Z) and a shape (X, Y, Z)"
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise UnexpectedResultError(expected, value)
    start = whole_numbers(value[0], expected, least=None, found=value)
    shape = whole_numbers(value[1], expected, found=value)
    if any(first < 0 or first + n > size for first, n, size in zip(start, shape, field.shape, strict=True)):
        raise UnexpectedResultError(f"a box inside the grid {field.shape}", found=f"{shape} voxels at {start}")
    return start, shape


def _orientation(value: Any, transform: Transform, *_: Any) -> Orientation:
    if (
        not isinstance(value, Orientation)
        or sorted(value.axes) != [0, 1, 2]
        or len(value.flips) != 3
        or not all(isinstance(flip, bool) for flip in value.flips)
    ):
        raise UnexpectedResultError("an Orientation of the three axes", value)
    return value


def kind(value: Any, transform: Transform, *_: Any) -> str:
    """What a field holds."""
    if value not in get_args(Kind):
        raise UnexpectedResultError('"image", "scores" or "labels"', value)
    return str(value)


def _bytes(value: Any, transform: Transform, *_: Any) -> int:
    if not _is_whole(value) or value < 0:
        raise UnexpectedResultError("a number of bytes", value)
    return int(value)


PROPERTIES: dict[str, Check] = {
    **dict.fromkeys(("fields", "references", "creates", "reads", "files"), _names),
    **dict.fromkeys(("mixes_voxels", "copies_voxels", "begins_pass", "align_corners"), _flag),
    **dict.fromkeys(("makes_labels", "needs_labels", "needs_scores", "scales_values", "touches_voxels"), _flag),
    **dict.fromkeys(("changes_grid", "restores_grid", "makes_views", "decided_by_voxels", "counts_ties"), _flag),
    "needs_array": _needs_array,
    "is_fusable": _fusable,
    "finalizer": _finalizer,
    "channels": _channels,
    "nan": _nan,
    "interpolation": _interpolation,
    "thresholds": _thresholds,
}

METHODS: dict[str, Check] = {
    **dict.fromkeys(("function", "measure"), _function),
    "tables": _tables,
    "box": _box,
    "orientation": _orientation,
    "outcome": kind,
    "scratch_bytes": _bytes,
    "summary": _text,
    **dict.fromkeys(("add_to_pass", "check_classes"), anything),
}
