"""Calls of hooks that read and return arrays: the arguments are read-only on the host, the results are checked."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np

from gpu_infer.backends import dtypes
from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.base import Barrier, Branch, Transform
from gpu_infer.transforms.custom.errors import UnexpectedResultError
from gpu_infer.transforms.custom.states import check_state, check_states
from gpu_infer.transforms.field import Fields, FieldState


def call_read_only(transform: Transform, hook: Any, array: Array, field: FieldState, backend: Backend) -> Any:
    """`Measured.measure` on an array that it cannot write into."""
    field.array, original = read_only(array), field.array
    try:
        return hook(read_only(array), field, backend)
    finally:
        field.array = original


def apply_to_field(transform: Barrier, hook: Any, array: Array, field: FieldState, backend: Backend) -> Array:
    """`Barrier.apply`; the result is a [C, X, Y, Z] array of the backend with the channels that `trace` declares."""
    declared = field.copy(array=None, facts={})
    transform.trace(declared)
    before, kind = field.copy(), transform.outcome(field.kind)
    field.array = read_only(array)
    result: Array = hook(field.array, field, backend)
    check_array(result, array, labels=kind == "labels")
    check_state(transform, field, before)
    if result.shape[0] != declared.channels:
        raise UnexpectedResultError(
            f"{declared.channels} channels as after `trace`",
            found=f"{result.shape[0]}",
            remedy="set field.channels in trace to what apply returns",
        )
    _check_finite(result, array, kind, backend)
    return writable(result)


def apply_to_fields(transform: Branch, hook: Any, fields: Fields, backend: Backend) -> None:
    """`Branch.apply`; every array that it sets belongs to the state around it."""
    before = {name: state.copy() for name, state in fields.items()}
    source = before[transform.fields[0]].array
    for state in fields.values():
        state.array = read_only(state.array)
    views = {name: state.array for name, state in fields.items()}
    hook(fields, backend)
    check_states(transform, fields, before)
    for name, state in fields.items():
        if name in views and state.array is views[name]:
            state.array = before[name].array
            continue
        check_array(state.array, source, labels=state.kind == "labels", owner=f" as {name!r}")
        declared = (state.channels, *state.shape)
        if state.array.shape != declared or state.array.dtype != state.dtype:
            raise UnexpectedResultError(f"{name!r} to hold {declared} {state.dtype}, as its state says", state.array)
        _check_finite(state.array, source, state.kind, backend)
        state.array = writable(state.array)


def read_only(array: Any) -> Any:
    """A view that cannot be written through; of an array of the GPU, the array itself."""
    if not isinstance(array, np.ndarray):
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def writable(result: Array) -> Array:
    """`result`, writable again if it is a view of the read-only one."""
    if not isinstance(result, np.ndarray) or result.flags.writeable:
        return result
    view = result.view()
    with suppress(ValueError):  # the array itself was read-only
        view.flags.writeable = True
    return view


def check_array(result: Any, like: Any, *, labels: bool, owner: str = "") -> None:
    """Check that `result` is a [C, X, Y, Z] array of the kind of `like`, of a dtype that kernels read.

    labels  whether it is a label map
    owner   what an error adds to "array"
    """
    usual = np.ndarray if isinstance(like, np.ndarray) else type(like)
    if not isinstance(result, usual) or isinstance(result, np.ma.MaskedArray):
        library = usual.__module__.partition(".")[0]
        raise UnexpectedResultError(f"a {library} array{owner}, as its input is", result)
    array: Any = result
    if array.ndim != 4 or 0 in array.shape:
        raise UnexpectedResultError(f"an array [C, X, Y, Z]{owner}", result)
    if labels and array.dtype not in dtypes.LABELS:
        raise UnexpectedResultError(f"labels of uint8 or uint16{owner}", result, remedy="convert them with astype")
    if array.dtype.str[1:] not in dtypes.STORED:
        expected = f"an array of int8, int16, int32, uint8, uint16, uint32, float16, float32 or float64{owner}"
        raise UnexpectedResultError(expected, result, remedy="convert it with astype")


def _check_finite(result: Array, source: Array, kind: str, backend: Backend) -> None:
    """Refuse NaN that `source` has not; in an image, infinite voxels too."""
    if not is_refused(result, kind, backend) or is_refused(source, kind, backend):
        return
    expected, found = ("finite voxels", "NaN or infinite ones") if kind == "image" else ("no NaN", "NaN")
    raise UnexpectedResultError(
        f"{expected}, as in its input", found=found, remedy="fix the computation: a division by 0, a log of 0"
    )


def is_refused(array: Array, kind: str, backend: Backend) -> bool:
    """Whether voxels are NaN, or infinite if `kind` is "image"."""
    if array.dtype.kind != "f":
        return False
    if math.isfinite(backend.masked_moments(array, False).mean):
        return False
    # Rare, so the copy from a GPU does no harm: a mean does not distinguish infinite voxels from NaN.
    return kind == "image" or any(np.isnan(plane).any() for plane in backend.download(array))
