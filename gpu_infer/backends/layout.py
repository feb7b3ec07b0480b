"""Memory layout of strided views: memory order, the axis order of resampling, pointers and strides for kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_infer.backends.types import Array, DeviceArray, TwinArray


def pointer(array: DeviceArray) -> int:
    """Address of element (0, 0, …) on the device. Raises ValueError if elements are not aligned for a kernel."""
    address = int(array.data.ptr)
    size = array.dtype.itemsize
    if address % size or any(step % size for step in array.strides):
        raise ValueError(f"elements of {array.dtype} at {address:#x} with strides {array.strides} are not aligned")
    return address


def steps(array: Array) -> tuple[int, ...]:
    """Signed strides in elements."""
    return tuple(step // array.dtype.itemsize for step in array.strides)


def output(array: DeviceArray) -> int:
    """`pointer` of an array that a kernel writes. Raises ValueError for a foreign byte order, which none writes."""
    if not array.dtype.isnative:
        raise ValueError(f"an output of dtype {array.dtype.str} must be of native byte order")
    return pointer(array)


def extent_in_memory(array: DeviceArray) -> tuple[int, int]:
    """The address of the first byte of a non-empty array, and the address after its last byte."""
    spans = [step * (n - 1) for step, n in zip(array.strides, array.shape, strict=True)]
    low = pointer(array) + sum(min(span, 0) for span in spans)
    return low, low + sum(abs(span) for span in spans) + int(array.dtype.itemsize)


def fastest_last(array: Array) -> tuple[int, int, int]:
    """Order of the last three axes from the greatest step in memory to the smallest; single samples first."""
    shape, strides = array.shape[-3:], array.strides[-3:]
    x, y, z = sorted(range(3), key=lambda a: (shape[a] > 1, -abs(strides[a]), a))
    return (x, y, z)


def axis_order(source: Array, out: Array) -> tuple[int, int, int]:
    """Spatial axes (o, p, q) in the order in which resampling from `source` to `out` interpolates; q is the last.

    q is the fastest axis of `out`, p the source's fastest among the other two. This is the one rule for both backends:
    interpolating in the same order is what makes them round alike.
    """
    step_in = [abs(s) for s in source.strides[1:]]
    step_out = [abs(s) for s in out.strides[1:]]
    # an axis of one sample may have any stride and is never worth an inner loop
    q = min(range(3), key=lambda a: (out.shape[1 + a] == 1, step_out[a], -a))
    p = min((a for a in range(3) if a != q), key=lambda a: (source.shape[1 + a] == 1, step_in[a], -a))
    return 3 - p - q, p, q


def is_across(source: Array, p: int, q: int) -> bool:
    """Whether a copy along q would read the source with greater steps than one along p."""
    return abs(source.strides[1 + p]) < abs(source.strides[1 + q]) and source.shape[1 + p] > 1


def reordered(values: Sequence[Any], order: tuple[int, int, int]) -> tuple[Any, ...]:
    """The entries with the last three in `order`."""
    lead, last = tuple(values[:-3]), tuple(values[-3:])
    return (*lead, *(last[a] for a in order))


@dataclass(frozen=True)
class MemoryOrder:
    """The layout of a dense array: `array.transpose(axes)[flips]` is C-contiguous."""

    axes: tuple[int, ...]
    flips: tuple[slice, ...]

    def contiguous(self, array: TwinArray) -> TwinArray:
        """The view of `array` in memory order."""
        return array.transpose(self.axes)[self.flips]

    def restored(self, contiguous: TwinArray) -> TwinArray:
        """The inverse: a view of an array in memory order with the original axes."""
        inverse = sorted(range(len(self.axes)), key=lambda a: self.axes[a])
        return contiguous[self.flips].transpose(inverse)


def memory_order(array: Array) -> MemoryOrder | None:
    """The order of an array whose elements fill one piece of memory; None if there are gaps or repetitions."""
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


def in_memory_order(array: DeviceArray) -> DeviceArray:
    """The C-contiguous view of a dense array, for kernels that depend on no order.

    Raises ValueError if it has gaps.
    """
    order = memory_order(array)
    if order is None:
        raise ValueError(f"an array with strides {array.strides} has gaps")
    return order.contiguous(array)


def code(dtype: np.dtype[Any]) -> str:
    """The dtype in a kernel's name: "i2", "f4"."""
    return f"{dtype.kind}{dtype.itemsize}"
