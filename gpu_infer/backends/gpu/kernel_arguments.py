"""The structs that kernels take by value, as NumPy dtypes with C's alignment; the C side is in kernels/*.cu.

CuPy passes a NumPy array of size one by value. It asks the array for its `__array_interface__`, in which NumPy spells
out every field of a struct, in Python and at each launch: an array without fields is launched some microseconds sooner.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_WINDOWS = 32
"""Windows per launch of gather: they are part of the argument."""

MOST_PARTS = 8
"""Parts of the sums per launch of blend: they are part of the argument."""

MOST_AXES = 8
"""Most axes of arrays for the kernels of arrays.cu."""


def _struct(*fields: Any) -> np.dtype[Any]:
    return np.dtype(list(fields), align=True)


_POINTER, _I64, _F32, _I32, _F64 = "u8", "i8", "f4", "i4", "f8"

AXIS = _struct(*((name, _POINTER) for name in ("lower", "upper", "weight", "rest", "first", "count")))
_AXES = [("o", AXIS), ("p", AXIS), ("q", AXIS)]
_STRIDES = [("src_strides", _I64, 4), ("dst_strides", _I64, 4), ("size", _I64, 4)]

RESAMPLE = _struct(
    ("src", _POINTER),
    ("dst", _POINTER),
    *_AXES,
    *_STRIDES,
    ("before", _F32, 5),
    ("after", _F32, 5),
    ("high", _I32),
    ("tile", _I32),
    ("pitch", _I32),
    ("swap", _I32),
)
TURN = _struct(("src", _POINTER), ("dst", _POINTER), *_STRIDES, ("before", _F32, 5), ("after", _F32, 5), ("swap", _I32))
TAPS = _struct(
    *((name, _POINTER) for name in ("src", "dst", "first", "count", "weights")),
    *_STRIDES,
    ("outputs", _I64),
    ("before", _F32, 5),
    ("after", _F32, 5),
    ("axis", _I32),
    ("swap", _I32),
)
EXTREMA = _struct(("source", _POINTER), ("extrema", _POINTER), ("strides", _I64, 4), ("size", _I64, 4), ("swap", _I32))
DIGITS = _struct(
    ("source", _POINTER),
    ("counts", _POINTER),
    ("strides", _I64, 4),
    ("size", _I64, 4),
    ("prefix", "u4"),
    *((name, _I32) for name in ("shift", "bits", "swap")),
)
BINS = _struct(
    *((name, _POINTER) for name in ("source", "edges", "counts")),
    ("strides", _I64, 4),
    ("size", _I64, 4),
    ("scale", _F64),
    ("bins", _I32),
    ("swap", _I32),
)
CURVE = _struct(
    *((name, _POINTER) for name in ("source", "dst", "curve")),
    *_STRIDES,
    ("scale", _F64),
    ("count", _I32),
    ("swap", _I32),
)
PICK = _struct(
    ("src", _POINTER),
    ("dst", _POINTER),
    *_AXES,
    *_STRIDES,
    ("tile", _I32),
    ("pitch", _I32),
    ("swap", _I32),
    ("low", _POINTER),
    ("high", _POINTER),
)
RESTORE_ARGMAX = _struct(
    ("src", _POINTER),
    ("dst", _POINTER),
    *_AXES,
    *_STRIDES,
    ("channels", _I64),
    ("ties", _POINTER),
    ("band", _F32),
    ("tile", _I32),
    ("pitch", _I32),
)
GATHER = _struct(
    ("volume", _POINTER),
    ("slot", _POINTER),
    ("volume_strides", _I64, 4),
    ("slot_strides", _I64, 5),
    ("volume_size", _I64, 3),
    ("window_size", _I64, 3),
    ("channels", _I64),
    ("starts", _I64, (MOST_WINDOWS, 3)),
    ("fill", _F32),
    ("edge", _I32),
)
BLEND = _struct(
    ("scores", _POINTER),
    ("sums", _POINTER),
    ("weights", _POINTER),
    ("importance", _POINTER),
    ("scores_strides", _I64, 4),
    ("sums_strides", _I64, 4),
    ("weights_strides", _I64, 3),
    ("importance_strides", _I64, 3),
    ("size", _I64, 3),
    ("origin", _I64, 3),
    ("height", _I64, 3),
    ("channels", _I64),
    ("repeats", _F32),
)
BLEND_PART = _struct(
    *((name, _POINTER) for name in ("scores", "sums", "weights", "importance")),
    ("sums_strides", _I64, 4),
    *((name, _I64, 3) for name in ("weights_strides", "size", "origin", "height")),
    ("end", _I64),
)
BLEND_PARTS = _struct(
    ("parts", BLEND_PART, MOST_PARTS),
    ("scores_strides", _I64, 4),
    ("importance_strides", _I64, 3),
    ("channels", _I64),
    ("repeats", _F32),
)
FINISH = _struct(
    ("sums", _POINTER),
    ("weights", _POINTER),
    ("out", _POINTER),
    ("ties", _POINTER),
    ("nans", _POINTER),
    ("count_i", _POINTER),
    ("count_j", _POINTER),
    ("count_k", _POINTER),
    ("cuts", _POINTER),
    ("sums_strides", _I64, 4),
    ("weights_strides", _I64, 3),
    ("out_strides", _I64, 4),
    ("size", _I64, 3),
    ("origin", _I64, 3),
    ("height", _I64, 3),
    ("channels", _I64),
    ("band", _F32),
)
ARGMAX = _struct(
    ("scores", _POINTER),
    ("labels", _POINTER),
    ("ties", _POINTER),
    ("scores_strides", _I64, 4),
    ("labels_strides", _I64, 3),
    ("size", _I64, 3),
    ("channels", _I64),
    ("band", _F32),
)
HISTOGRAM = _struct(("labels", _POINTER), ("counts", _POINTER), ("size", _I64))
MASKED = _struct(
    ("source", _POINTER),
    ("out", _POINTER),
    ("source_strides", _I64, 4),
    ("out_strides", _I64, 4),
    ("size", _I64, 4),
    ("function", _F32, 5),
)
WITHIN = _struct(
    *((name, _POINTER) for name in ("source", "mask", "out")),
    *((name, _I64, 4) for name in ("source_strides", "mask_strides", "out_strides", "size")),
    ("function", _F32, 5),
)
THRESHOLD = _struct(
    ("source", _POINTER),
    ("out", _POINTER),
    ("source_strides", _I64, 4),
    ("out_strides", _I64, 4),
    ("size", _I64, 4),
    ("one", "u8"),
    ("value", _F32),
    ("nonzero", _I32),
    ("swap", _I32),
)
LOOKUP = _struct(
    ("labels", _POINTER),
    ("table", _POINTER),
    ("out", _POINTER),
    ("labels_strides", _I64, 4),
    ("out_strides", _I64, 4),
    ("size", _I64, 4),
)
MERGE = _struct(
    *((name, _POINTER) for name in ("masks", "values", "out")),
    ("masks_strides", _I64, 4),
    ("out_strides", _I64, 3),
    ("size", _I64, 3),
    ("channels", _I64),
    ("over", _I32),
)
REPAINT = _struct(
    *((name, _POINTER) for name in ("mask", "labels")),
    *((name, _I64, 3) for name in ("mask_strides", "labels_strides", "size")),
    ("label", _I32),
)
EXTENT = _struct(
    ("source", _POINTER),
    *((name, _POINTER) for name in ("held_i", "held_j", "held_k")),
    ("source_strides", _I64, 4),
    ("size", _I64, 4),
    ("value", _F32),
    ("nonzero", _I32),
    ("swap", _I32),
)
PROBABILITIES = _struct(
    *((name, _POINTER) for name in ("scores", "outside", "off_sum")),
    ("strides", _I64, 4),
    ("size", _I64, 3),
    ("channels", _I64),
    ("tolerance", _F32),
)
ENTROPY = _struct(
    ("values", _POINTER),
    ("out", _POINTER),
    ("values_strides", _I64, 4),
    ("out_strides", _I64, 3),
    ("size", _I64, 3),
    ("channels", _I64),
    ("scale", _F32),
)
COMPONENTS = _struct(
    ("labels", _POINTER),
    ("out", _POINTER),
    ("parent", _POINTER),
    ("sizes", _POINTER),
    ("best", _POINTER),
    ("treated", _POINTER),
    ("original", _POINTER),
    ("labels_strides", _I64, 3),
    ("out_strides", _I64, 3),
    ("original_strides", _I64, 3),
    ("size", _I64, 3),
    ("least", _I64),
    ("connectivity", _I32),
    ("value", _I32),
)
LABEL_EXTENTS = _struct(
    *((name, _POINTER) for name in ("labels", "numbers", "table")), ("labels_strides", _I64, 3), ("size", _I64, 3)
)
LABEL_VALUES = _struct(
    *((name, _POINTER) for name in ("labels", "values", "numbers", "prefixes", "table")),
    *((name, _I64, 3) for name in ("labels_strides", "values_strides", "size")),
    *((name, _I32) for name in ("shift", "bits", "swap")),
)
MOMENTS = _struct(("values", _POINTER), ("partials", _POINTER), ("size", _I64), ("nonzero", _I32), ("swap", _I32))
_LINE = _struct(
    *((name, _POINTER) for name in ("lower", "upper", "weight")),
    *((name, _I64) for name in ("src_stride", "dst_stride", "size", "rank")),
)
ARRAYS = _struct(
    ("src", _POINTER),
    ("dst", _POINTER),
    ("axis", _LINE, MOST_AXES),
    ("constant", _F64),
    ("bits", "u8"),
    *((name, _I32) for name in ("axes", "from", "to", "swap", "rounds")),
)
_QUOTIENT = _struct(
    ("count", _POINTER),
    ("place", _POINTER),
    *((name, _I64) for name in ("sums_stride", "out_stride", "weights_stride", "size")),
)
DIVIDE = _struct(
    ("sums", _POINTER),
    ("out", _POINTER),
    ("weights", _POINTER),
    ("axis", _QUOTIENT, MOST_AXES),
    ("axes", _I32),
    ("to", _I32),
)


def packed(struct: np.dtype[Any], **fields: Any) -> NDArray[np.void]:
    """The bytes of one struct, as an array [] of void of its size.

    Takes every field; a null pointer is 0. Raises TypeError for fields that are missing or unknown.
    """
    return np.array(values(struct, fields), struct).view(f"V{struct.itemsize}")


def values(struct: np.dtype[Any], fields: dict[str, Any]) -> tuple[Any, ...]:
    """The values of every field of a struct, in its order. Raises TypeError for fields that are missing or unknown."""
    names = struct.names or ()
    if fields.keys() != set(names):
        raise TypeError(f"fields {sorted(set(names) ^ fields.keys())} are missing or unknown")
    return tuple(fields[name] for name in names)
