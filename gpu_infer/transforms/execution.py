"""Running stages on field states: the same walk with a backend, or without one to learn shapes and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_infer.backends.base import Backend, Tables
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.errors import ConfigError

from .base import Barrier, Branch, Load, Metadata, Pointwise, Regrid, Restore
from .field import FieldState
from .restoration import restore
from .stages import FusedPass, Single, Stage

Fields = dict[str, FieldState]


@dataclass(frozen=True)
class Recipe:
    """The arguments of one `Backend.prepare` call."""

    tables: Tables | None
    before: ClampedAffine
    after: ClampedAffine

    @property
    def is_identity(self) -> bool:
        return self.tables is None and self.before.is_identity and self.after.is_identity


def recipe(stage: FusedPass, fields: Fields, first: ClampedAffine) -> Recipe:
    """Fold the members' functions and tables, and book their changes on the field; `first` comes before
    all."""
    state = fields[stage.field]
    before, after, tables, moved = first, ClampedAffine(), None, False
    for transform in stage.members:
        if isinstance(transform, Pointwise):
            function = transform.function(state)
            if moved:
                after = after.then(function)
            else:
                before = before.then(function)
        elif isinstance(transform, Regrid):
            shape, axes = transform.tables(state)
            # A grid of the same size is the same grid under either corner convention.
            tables, moved = (axes if shape != state.shape else None), True
            state.resampled(shape, transform.align_corners)
        elif isinstance(transform, Metadata):
            transform.update(fields)
        elif not isinstance(transform, Load):
            raise TypeError(f"{transform.label} cannot be part of a fused pass")
    return Recipe(tables, before, after)


def run_pass(
    stage: FusedPass,
    fields: Fields,
    dtype: np.dtype[Any],
    backend: Backend | None,
    first: ClampedAffine | None = None,
) -> None:
    """One pass; the field comes out in `dtype`, labels in their own."""
    state = fields[stage.field]
    made = recipe(stage, fields, first or ClampedAffine())
    if state.kind == "labels":
        dtype = state.dtype
    loads = any(isinstance(t, Load) for t in stage.members)
    if backend is not None and not (made.is_identity and state.dtype == dtype and not loads):
        out = backend.empty((state.channels, *state.shape), dtype)
        backend.prepare(state.array, out, made.tables, made.before, made.after)
        state.array = out
    state.dtype = dtype


def run_single(stage: Single, fields: Fields, backend: Backend | None) -> None:
    transform = stage.transform
    if isinstance(transform, Metadata):
        transform.update(fields)
    elif isinstance(transform, Branch):
        if backend is None:
            transform.trace(fields)
        else:
            transform.apply(fields, backend)
    elif isinstance(transform, Restore):
        state = fields[stage.field or ""]
        if backend is None:
            state.restored()
        else:
            restore(state, transform.interpolation, backend)
    elif isinstance(transform, Barrier):
        _run_barrier(transform, fields[stage.field or ""], backend)


def _run_barrier(transform: Barrier, state: FieldState, backend: Backend | None) -> None:
    if backend is None:
        transform.trace(state)
    else:
        shape, steps = state.shape, len(state.history)
        array = transform.apply(state.array, state, backend)
        made = (int(array.shape[1]), int(array.shape[2]), int(array.shape[3]))
        if made != (state.shape if len(state.history) > steps else shape):
            raise ConfigError(
                f"{transform.place}: changed the grid of {state.name!r} from {shape} to {made} unbooked",
                remedy="call field.windowed or field.resampled in apply, so that the change can be undone",
            )
        state.array, state.dtype, state.channels = array, np.dtype(array.dtype), int(array.shape[0])
    if transform.makes_labels:
        state.kind = "labels"


def run(stage: Stage, fields: Fields, dtype: np.dtype[Any], backend: Backend | None) -> None:
    """Run one stage of a chain on `fields` in place; without a backend only the books are kept."""
    if isinstance(stage, FusedPass):
        run_pass(stage, fields, dtype, backend)
    else:
        run_single(stage, fields, backend)
