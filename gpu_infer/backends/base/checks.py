"""Checks of shapes and dtypes before a kernel runs; each raises ValueError with what it found.

Kernels index without bounds checks, so these stand between a caller's mistake and foreign memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, RollingSums, Start, Tables
from gpu_infer.backends.boxes import Box, ring_boxes
from gpu_infer.backends.tables import ClampedAffine

_FLOATS = (np.dtype(np.float32), np.dtype(np.float16))


def resample(source: Array, out: Array, tables: Tables | None) -> None:
    """source [C, X, Y, Z] of real numbers, out [C, X', Y', Z'], tables that lead from one to the other."""
    if source.ndim != 4 or out.ndim != 4 or source.shape[0] != out.shape[0]:
        raise ValueError(f"prepare takes [C, X, Y, Z] twice with equal C, found {source.shape} and {out.shape}")
    if source.dtype.kind not in "iuf" or source.dtype.itemsize > 8:
        raise ValueError(f"prepare reads integers and floats of up to 8 bytes, found {source.dtype}")
    if out.dtype not in _FLOATS and out.dtype.kind not in "iu":
        raise ValueError(f"prepare writes float32, float16 and integers, found {out.dtype}")
    if tables is None:
        if source.shape != out.shape:
            raise ValueError(f"without tables the shapes must agree, found {source.shape} and {out.shape}")
        return
    _tables(tables, source.shape[1:], out.shape[1:])


def _tables(tables: Tables, read: Sequence[int], made: Sequence[int]) -> None:
    for axis, (table, n_in, n_out) in enumerate(zip(tables, read, made, strict=True)):
        if len(table) != n_out:
            raise ValueError(f"axis {axis}: the table has {len(table)} entries, the output {n_out}")
        for index in (table.lower, table.upper):
            if n_out and (int(index.min()) < 0 or int(index.max()) >= n_in):
                raise ValueError(f"axis {axis}: the table reads {index.min()} … {index.max()} of {n_in} samples")


def integer_resample(source: Array, out: Array, tables: Tables, before: ClampedAffine, after: ClampedAffine) -> None:
    """Integers are copied, never computed: nearest tables, identity functions, a dtype that holds every value."""
    if not all(table.is_gather for table in tables):
        raise ValueError("an integer output needs nearest tables, these interpolate")
    if not (before.is_identity and after.is_identity):
        raise ValueError("an integer output needs identity functions before and after")
    if not np.can_cast(source.dtype, out.dtype, "safe"):
        raise ValueError(f"{out.dtype} does not hold every value of {source.dtype}")


def moments(array: Array) -> None:
    """[C, X, Y, Z] of real numbers that kernels read."""
    if array.ndim != 4 or array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise ValueError(f"moments are taken of real [C, X, Y, Z] of up to 8 bytes, found {array.dtype} {array.shape}")


def masked_affine(source: Array, out: Array) -> None:
    """Two [C, X, Y, Z] of one shape, float32 or float16."""
    if source.ndim != 4 or source.shape != out.shape:
        raise ValueError(f"masked_affine takes [C, X, Y, Z] twice, found {source.shape} and {out.shape}")
    if source.dtype not in _FLOATS or out.dtype not in _FLOATS:
        raise ValueError(f"masked_affine takes float32 and float16, found {source.dtype} and {out.dtype}")


def threshold(source: Array, out: Array) -> None:
    """source [C, X, Y, Z] of real numbers, out of one shape with it, of integers or floats."""
    if source.ndim != 4 or source.shape != out.shape:
        raise ValueError(f"threshold takes [C, X, Y, Z] twice, found {source.shape} and {out.shape}")
    if any(a.dtype.kind not in "iuf" or a.dtype.itemsize > 8 for a in (source, out)):
        raise ValueError(f"threshold takes integers and floats of up to 8 bytes, found {source.dtype} and {out.dtype}")


def lookup(labels: Array, table: NDArray[Any], out: Array) -> None:
    """labels [C, X, Y, Z] uint8 or uint16, a table with an entry for all of them, out uint8."""
    if labels.ndim != 4 or labels.shape != out.shape:
        raise ValueError(f"lookup takes [C, X, Y, Z] twice, found {labels.shape} and {out.shape}")
    if labels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"labels must be uint8 or uint16, found {labels.dtype}")
    entries = 1 << 8 * labels.dtype.itemsize
    if table.shape != (entries,) or table.dtype != np.uint8 or out.dtype != np.uint8:
        raise ValueError(
            f"lookup takes a table of {entries} uint8 and writes uint8, "
            f"found {table.dtype} {table.shape} and {out.dtype}"
        )


def occupied_planes(array: Array) -> None:
    """[C, X, Y, Z] of real numbers that kernels read."""
    if array.ndim != 4 or array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise ValueError(f"an extent is that of real [C, X, Y, Z] of up to 8 bytes, found {array.dtype} {array.shape}")


def float32(value: float) -> np.float32:
    """The value as kernels compare with it; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return np.float32(value)


def components(labels: Array, connectivity: int, out: Array) -> None:
    """Two label maps [X, Y, Z] of one shape and dtype, and a connectivity of 1, 2 or 3."""
    if labels.ndim != 3 or labels.shape != out.shape or labels.dtype != out.dtype:
        raise ValueError(
            "components take [X, Y, Z] twice with one dtype, "
            f"found {labels.dtype} {labels.shape} and {out.dtype} {out.shape}"
        )
    if labels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"labels must be uint8 or uint16, found {labels.dtype}")
    if connectivity not in (1, 2, 3):
        raise ValueError(f"connectivity must be 1, 2 or 3, found {connectivity}")


def gather(volume: Array, starts: Sequence[Start], slot: Array) -> None:
    """volume [C, X, Y, Z], slot [N', C, R0, R1, R2], both float32 or float16, N' ≥ len(starts)."""
    if volume.ndim != 4 or slot.ndim != 5 or volume.shape[0] != slot.shape[1]:
        raise ValueError(f"gather takes [C, X, Y, Z] and [N, C, R0, R1, R2], found {volume.shape} and {slot.shape}")
    if volume.dtype not in _FLOATS or slot.dtype not in _FLOATS:
        raise ValueError(f"gather copies float32 and float16, found {volume.dtype} and {slot.dtype}")
    _places(slot, starts)


def blend(
    slot: Array,
    starts: Sequence[Start],
    repeats: Sequence[int],
    importance: Array | None,
    ring: RollingSums,
) -> None:
    """slot [N', K, R0, R1, R2] float32 or float16, importance [R0, R1, R2] float32, ring of K channels."""
    _ring(ring)
    if slot.ndim != 5 or slot.shape[1] != ring.sums.shape[0] or slot.dtype not in _FLOATS:
        raise ValueError(
            f"blend takes float32 or float16 [N, {ring.sums.shape[0]}, R0, R1, R2], found {slot.dtype} {slot.shape}"
        )
    _places(slot, starts)
    if len(repeats) != len(starts):
        raise ValueError(f"blend takes one repeat per window, found {len(repeats)} for {len(starts)}")
    if importance is not None and (importance.shape != slot.shape[2:] or importance.dtype != np.float32):
        raise ValueError(f"importance must be float32 {slot.shape[2:]}, found {importance.dtype} {importance.shape}")


def labels(channels: int, shape: Sequence[int], array: Array) -> None:
    """Labels of the grid's shape in uint8 or uint16 that hold channels − 1."""
    if array.shape != tuple(shape):
        raise ValueError(f"labels must have the grid's shape {tuple(shape)}, found {array.shape}")
    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"labels must be uint8 or uint16, found {array.dtype}")
    if not 1 <= channels <= np.iinfo(array.dtype).max + 1:
        raise ValueError(f"{channels} channels do not fit labels of {array.dtype}")


def restore_argmax(scores: Array, tables: Tables, array: Array) -> None:
    """scores float32 [K, X, Y, Z], labels of any shape that the tables lead to."""
    if scores.ndim != 4 or scores.dtype != np.float32:
        raise ValueError(f"scores must be native float32 [K, X, Y, Z], found {scores.dtype.str} {scores.shape}")
    labels(scores.shape[0], [len(table) for table in tables], array)
    _tables(tables, scores.shape[1:], array.shape)


def scores(ring: RollingSums, counts: Sequence[NDArray[Any]], array: Array) -> None:
    """scores float32 [K, X, Y, Z] and one count per index of each axis."""
    _means("scores", np.dtype(np.float32), ring, counts, array)


def masks(ring: RollingSums, counts: Sequence[NDArray[Any]], cuts: NDArray[Any], array: Array) -> None:
    """masks uint8 [K, X, Y, Z], one count per index of each axis, one cut per channel."""
    _means("masks", np.dtype(np.uint8), ring, counts, array)
    if cuts.shape != (ring.sums.shape[0],):
        raise ValueError(f"cuts of shape {cuts.shape} do not fit {ring.sums.shape[0]} channels")


def _means(name: str, dtype: np.dtype[Any], ring: RollingSums, counts: Sequence[NDArray[Any]], array: Array) -> None:
    expected = (ring.sums.shape[0], *ring.shape)
    if array.shape != expected or array.dtype != dtype:
        raise ValueError(f"{name} must be {dtype} {expected}, found {array.dtype} {array.shape}")
    if tuple(len(c) for c in counts) != tuple(ring.shape):
        raise ValueError(f"counts of lengths {[len(c) for c in counts]} do not fit the grid {tuple(ring.shape)}")


def box(ring: RollingSums, low: Start, high: Start) -> list[tuple[Box, Box]]:
    """The non-wrapping pieces of low ≤ index < high as (grid, ring); none for an empty box."""
    _ring(ring)
    if not all(0 <= a <= b <= n for a, b, n in zip(low, high, ring.shape, strict=True)):
        raise ValueError(f"box {low} … {high} is not inside the grid {tuple(ring.shape)}")
    x, y, z = (slice(a, b) for a, b in zip(low, high, strict=True))
    return ring_boxes((x, y, z), ring.sums.shape[1:])


def _ring(ring: RollingSums) -> None:
    if ring.sums.ndim != 4 or ring.sums.dtype != np.float32:
        raise ValueError(f"a ring is float32 [K, H0, H1, H2], found {ring.sums.dtype} {ring.sums.shape}")
    weights = ring.weights
    if weights is not None and (weights.shape != ring.sums.shape[1:] or weights.dtype != np.float32):
        raise ValueError(f"weights must be float32 {ring.sums.shape[1:]}, found {weights.dtype} {weights.shape}")


def _places(slot: Array, starts: Sequence[Start]) -> None:
    if len(starts) > slot.shape[0]:
        raise ValueError(f"{len(starts)} windows do not fit a slot of {slot.shape[0]}")
