"""New arrays with the memory order of another array."""

from __future__ import annotations

from numpy.typing import DTypeLike

from gpu_infer.backends.base.backend import Array, Backend


def empty_like(array: Array, dtype: DTypeLike, backend: Backend) -> Array:
    """Uninitialised array of the shape of `array`, without gaps, its axes in the same order and direction in memory.

    A result of labels in the file's order is then in the file's order too, and needs no copy when it is delivered.
    """
    axes = sorted(range(array.ndim), key=lambda a: (array.shape[a] > 1, -abs(array.strides[a]), a))
    flips = tuple(slice(None, None, -1 if step < 0 else 1) for step in array.strides)
    ordered = backend.empty([array.shape[a] for a in axes], dtype)
    return ordered.transpose([axes.index(a) for a in range(array.ndim)])[flips]
