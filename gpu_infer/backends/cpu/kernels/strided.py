"""Views of any strides, and tables, as named tuples that have one Numba type per dtype."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from gpu_infer.backends.tables import AxisTable
from gpu_infer.backends.types import HostArray

Buffer = NDArray[Any]
"""A flat array of numbers of any dtype."""

Shape = tuple[int, ...]
"""Lengths of the axes, of which a kernel takes a fixed number."""


class Flat(NamedTuple):
    """A view as its memory: element (i, j, …) is data[offset + i·strides[0] + j·strides[1] + …].

    data     1-D, contiguous, from the view's lowest address to its highest; read-only for an input
    offset   element index of (0, 0, …), positive if an axis runs backwards
    strides  signed, in elements
    """

    data: Buffer
    offset: int
    strides: tuple[int, ...]


class FlatTable(NamedTuple):
    """lower, upper and weight of an axis: out = (1 − weight)·in[lower] + weight·in[upper]. Read-only arrays."""

    lower: Buffer
    upper: Buffer
    weight: Buffer


FlatTables = tuple[FlatTable, FlatTable, FlatTable]


def flat_tables(tables: Iterable[AxisTable]) -> FlatTables:
    """The tables of three axes for a kernel."""
    o, p, q = (FlatTable(frozen(t.lower), frozen(t.upper), frozen(t.weight)) for t in tables)
    return o, p, q


def native(array: HostArray) -> HostArray:
    """`array` itself, or a copy in the machine's byte order with the same axis order in memory."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="), order="K")


def reading(view: HostArray) -> Flat:
    """A non-empty view to read; copied only if its elements are not aligned."""
    flags = view.flags
    if not (flags.c_contiguous and flags.aligned and view.dtype.isnative):
        view = native(view)
        if not _aligned(view):
            view = np.array(view, order="K")
    flat = _flat(view)
    flat.data.flags.writeable = False
    return flat


def writing(view: HostArray) -> Flat:
    """A non-empty view to write through. Raises ValueError if it is read-only, foreign or not aligned."""
    if not (view.dtype.isnative and view.flags.writeable and _aligned(view)):
        raise ValueError(f"an output of dtype {view.dtype.str} must be writable, aligned and of native byte order")
    return _flat(view)


def frozen(array: HostArray) -> HostArray:
    """A read-only contiguous view (or copy) of a small array, so that all of one dtype have one Numba type."""
    table = np.ascontiguousarray(array).view()
    table.flags.writeable = False
    return table


def _aligned(view: HostArray) -> bool:
    size, flags = view.dtype.itemsize, view.flags
    if flags.c_contiguous:
        return bool(flags.aligned)
    return bool(flags.aligned) and all(step % size == 0 for step in view.strides)


def _flat(view: HostArray) -> Flat:
    size = view.itemsize
    strides = tuple([step // size for step in view.strides])
    if view.flags.c_contiguous:  # the common case, in a tenth of the time
        return Flat(view.reshape(-1), 0, strides)
    reach = [(n - 1) * step for n, step in zip(view.shape, strides, strict=True)]
    offset = -sum(r for r in reach if r < 0)
    lowest = view[tuple(slice(None, None, -1) if step < 0 else slice(None) for step in strides)]
    data = as_strided(lowest, (1 + sum(abs(r) for r in reach),), (size,))
    return Flat(data, offset, strides)
