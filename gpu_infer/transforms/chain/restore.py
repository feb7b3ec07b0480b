"""Restoring the loaded grid, and the file's order in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend, Tables
from gpu_infer.backends.resampling import identity_table, linear_table, nearest_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.base import Interpolation
from gpu_infer.transforms.copying import copy_voxels
from gpu_infer.transforms.field import FieldState, GridStep, Resampled, Windowed
from gpu_infer.volume.geometry import Orientation, Shape3


def steps_back(history: Sequence[GridStep]) -> list[GridStep]:
    """The steps that undo `history`, in order.

    Neighbouring resamplings of one corner convention, without steps, become one, so that values are resampled once.
    """
    back: list[GridStep] = []
    for step in reversed(history):
        if back and step.also_undoes(back[-1]):
            back[-1] = step
        else:
            back.append(step)
    return back


def inverse(orientation: Orientation) -> Orientation:
    """The orientation whose view of a loaded array has the stored axes."""
    axes, flips = [0, 0, 0], [False, False, False]
    for loaded, (stored, flip) in enumerate(zip(orientation.axes, orientation.flips, strict=True)):
        axes[stored], flips[stored] = loaded, flip
    return Orientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))


def restore(state: FieldState, interpolation: Interpolation, backend: Backend) -> None:
    """Bring `state` to the grid on which its source was loaded.

    The last step writes through strides into a buffer in the file's memory order, so that nothing needs transposing
    afterwards.
    """
    steps = steps_back(state.history)
    for number, step in enumerate(steps, start=1):
        undo(state, step, interpolation, backend, file_order if number == len(steps) else plain)
    state.restored()


def restored_bytes(state: FieldState, *, shared: bool) -> int:
    """Most bytes that `restore` allocates at a time; `shared`: another field keeps the array that it begins with."""
    sizes = [math.prod(step.before) * state.channels * state.dtype.itemsize for step in steps_back(state.history)]
    first = 0 if shared else state.nbytes  # freed when the first step is done
    return max([sizes[0], *(a + b - first for a, b in pairwise(sizes))]) if sizes else 0


def in_file_order(state: FieldState, backend: Backend) -> Array:
    """[I, J, K] array of a one-channel integer state on the loaded grid, i fastest in memory.

    It is a copy only if the array has another order.
    """
    back = inverse(state.source.orientation)
    stored: Array = back.view(state.array)[0]
    if not stored.transpose(2, 1, 0).flags.c_contiguous:
        out = file_order(state, state.shape, backend)
        x, y, z = (identity_table(n) for n in state.shape)
        backend.resample_labels(state.array[0], (x, y, z), out[0])
        stored = back.view(out)[0]
    return stored


def plain(state: FieldState, shape: Shape3, backend: Backend, *, blank: bool = False) -> Array:
    """New [C, X, Y, Z] array for `state`, C-ordered; zeros if `blank`, else uninitialised."""
    return (backend.zeros if blank else backend.empty)((state.channels, *shape), state.dtype)


def file_order(state: FieldState, shape: Shape3, backend: Backend, *, blank: bool = False) -> Array:
    """[C, X, Y, Z] view of a new buffer that is [C, K, J, I] in memory; zeros if `blank`, else uninitialised."""
    i, j, k = inverse(state.source.orientation).shape(shape)
    buffer = (backend.zeros if blank else backend.empty)((state.channels, k, j, i), state.dtype)
    return state.source.orientation.view(buffer.transpose(0, 3, 2, 1))


def tables_back(step: Resampled, shape: Shape3, interpolation: Interpolation) -> Tables:
    """The tables from the grid of `shape` after `step` to the one before it."""
    x, y, z = (
        (nearest_table if interpolation == "nearest" or nearest else linear_table)(
            n, m, align_corners=step.align_corners, step=step.step_back(axis)
        )
        for axis, (n, m, nearest) in enumerate(zip(shape, step.before, step.nearest_back, strict=True))
    )
    return (x, y, z)


def undo(
    state: FieldState, step: GridStep, interpolation: Interpolation, backend: Backend, new_array: Callable[..., Array]
) -> None:
    """Undo one step into a new array, which `new_array` (`plain` or `file_order`) makes."""
    if isinstance(step, Windowed):
        _unwindow(state, step, backend, new_array(state, step.before, backend, blank=True))
        return
    out = new_array(state, step.before, backend)
    tables = tables_back(step, state.shape, interpolation)
    if np.issubdtype(state.dtype, np.integer):
        for channel in range(state.channels):
            backend.resample_labels(state.array[channel], tables, out[channel])
    else:
        backend.resample(state.array, out, tables, ClampedAffine(), ClampedAffine())
    state.array, state.shape = out, step.before


def _unwindow(state: FieldState, step: Windowed, backend: Backend, out: Array) -> None:
    """Copy the window to its position in `out`, a background of 0; what a pad added is dropped."""
    inner, outer = [slice(None)], [slice(None)]
    for start, size, whole in zip(step.start, state.shape, step.before, strict=True):
        low, high = max(start, 0), min(start + size, whole)
        outer.append(slice(low, max(low, high)))
        inner.append(slice(low - start, max(low, high) - start))
    copy_voxels(state.array[tuple(inner)], out[tuple(outer)], backend)
    state.array, state.shape = out, step.before
