"""Where the voxels of strided views lie: memory order, axis order of a walk, pointers and strides for kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_infer.backends.base.backend import Array


def pointer(array: Array) -> int:
    """Address of element (0, 0, …) on the device. ValueError where elements are not aligned for a kernel."""
    address = int(array.data.ptr)
    size = array.dtype.itemsize
    if address % size or any(step % size for step in array.strides):
        raise ValueError(f"elements of {array.dtype} at {address:#x} with strides {array.strides} are not aligned")
    return address


def steps(array: Array) -> tuple[int, ...]:
    """Signed strides in elements."""
    return tuple(step // array.dtype.itemsize for step in array.strides)


def output(array: Array) -> int:
    """`pointer` of an array that a kernel writes. ValueError for a foreign byte order, which none writes."""
    if not array.dtype.isnative:
        raise ValueError(f"an output of dtype {array.dtype.str} must be of native byte order")
    return pointer(array)


def extent_in_memory(array: Array) -> tuple[int, int]:
    """The first address that an array of at least one element reads, and the one behind its last byte."""
    spans = [step * (n - 1) for step, n in zip(array.strides, array.shape, strict=True)]
    low = pointer(array) + sum(min(span, 0) for span in spans)
    return low, low + sum(abs(span) for span in spans) + int(array.dtype.itemsize)


def fastest_last(array: Array) -> tuple[int, int, int]:
    """Order of the last three axes from the greatest step in memory to the smallest; single samples first."""
    shape, strides = array.shape[-3:], array.strides[-3:]
    x, y, z = sorted(range(3), key=lambda a: (shape[a] > 1, -abs(strides[a]), a))
    return (x, y, z)


def reordered(values: Sequence[Any], order: tuple[int, int, int]) -> tuple[Any, ...]:
    """The last three entries in `order`, those before them as they are."""
    lead, last = tuple(values[:-3]), tuple(values[-3:])
    return (*lead, *(last[a] for a in order))


@dataclass(frozen=True)
class MemoryOrder:
    """How a dense array lies in memory: `array.transpose(axes)[flips]` is C-contiguous."""

    axes: tuple[int, ...]
    flips: tuple[slice, ...]

    def contiguous(self, array: Array) -> Array:
        """The view of `array` in memory order."""
        return array.transpose(self.axes)[self.flips]

    def restored(self, contiguous: Array) -> Array:
        """The inverse: a view like the original of an array in memory order."""
        inverse = sorted(range(len(self.axes)), key=lambda a: self.axes[a])
        return contiguous[self.flips].transpose(inverse)


def memory_order(array: Array) -> MemoryOrder | None:
    """The order of an array whose elements fill one piece of memory; None where there are gaps or repetitions."""
    axes = sorted(range(array.ndim), key=lambda a: (array.shape[a] > 1, -abs(array.strides[a]), a))
    expected = array.dtype.itemsize
    for axis in reversed(axes):
        if array.shape[axis] > 1 and array.size:
            if abs(array.strides[axis]) != expected:
                return None
            expected *= array.shape[axis]
    back = slice(None, None, -1)
    flips = tuple(back if array.strides[a] < 0 and array.shape[a] > 1 else slice(None) for a in axes)
    return MemoryOrder(tuple(axes), flips)


def in_memory_order(array: Array) -> Array:
    """The C-contiguous view of a dense array; what depends on no order reads it from its first address on."""
    order = memory_order(array)
    if order is None:
        raise ValueError(f"an array with strides {array.strides} has gaps")
    return order.contiguous(array)


def code(dtype: np.dtype[Any]) -> str:
    """The dtype in a kernel's name: "i2", "f4"."""
    return f"{dtype.kind}{dtype.itemsize}"
