"""Running stages on field states: the same walk with a backend, or without one to learn shapes and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_infer.backends.base.backend import Backend, Tables
from gpu_infer.backends.labels import label_dtype
from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import (
    Barrier,
    Branch,
    Crop,
    Load,
    Measured,
    Metadata,
    Pointwise,
    Regrid,
    Restore,
    Transform,
)
from gpu_infer.transforms.chain.restore import restore
from gpu_infer.transforms.chain.restore_argmax import in_one_pass, labels_on_loaded_grid
from gpu_infer.transforms.chain.stages import FusedPass, RestoredArgmax, Single, Stage
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.grid_limit import check_grid

Fields = dict[str, FieldState]


@dataclass(frozen=True)
class Recipe:
    """The arguments of one `Backend.prepare` call; the source is seen through `window` first."""

    window: tuple[slice, slice, slice] | None
    tables: Tables | None
    before: ClampedAffine
    after: ClampedAffine

    @property
    def is_view(self) -> bool:
        """True where no value changes and no voxel moves: the window says it all."""
        return self.tables is None and self.before.is_identity and self.after.is_identity


def recipe(stage: FusedPass, fields: Fields, first: ClampedAffine, backend: Backend | None) -> Recipe:
    """Fold the members' functions, tables and boxes, and book their changes on the field; `first` comes before
    all. Without a backend nothing is measured, and what would be counts as the identity."""
    state = fields[stage.field]
    before, after, moved = first, ClampedAffine(), False
    window, tables = None, None
    for transform in stage.members:
        if isinstance(transform, Pointwise):
            function = _function(transform, state, backend)
            if moved:
                after = after.then(function)
            else:
                before = before.then(function)
        elif isinstance(transform, Regrid):
            shape, axes = transform.tables(state)
            # A grid of the same size is the same grid under either corner convention.
            tables, moved = (axes if shape != state.shape else None), True
            state.resampled(shape, transform.align_corners)
        elif isinstance(transform, Crop):
            start, shape = transform.box(state)
            if tables is None:
                window = _inside(window, start, shape)
            else:
                tables = _cut(tables, start, shape)
            if shape != state.shape:
                state.windowed(start, shape)
        elif isinstance(transform, Metadata):
            transform.update(fields)
        elif not isinstance(transform, Load):
            raise TypeError(f"{transform.label} cannot be part of a fused pass")
    return Recipe(window, tables, before, after)


def _function(transform: Pointwise, state: FieldState, backend: Backend | None) -> ClampedAffine:
    if isinstance(transform, Measured) and transform.needs_array:
        return ClampedAffine() if backend is None else transform.measure(state.array, state, backend)
    return transform.function(state)


def _inside(
    window: tuple[slice, slice, slice] | None, start: tuple[int, int, int], shape: tuple[int, int, int]
) -> tuple[slice, slice, slice]:
    """The box of a view that shows `window` already, as indices of the whole."""
    offset = (0, 0, 0) if window is None else tuple(int(s.start) for s in window)
    x, y, z = (slice(o + s, o + s + n) for o, s, n in zip(offset, start, shape, strict=True))
    return (x, y, z)


def _cut(tables: Tables, start: tuple[int, int, int], shape: tuple[int, int, int]) -> Tables:
    x, y, z = (
        AxisTable(t.lower[s : s + n], t.upper[s : s + n], t.weight[s : s + n])
        for t, s, n in zip(tables, start, shape, strict=True)
    )
    return (x, y, z)


def run_pass(
    stage: FusedPass,
    fields: Fields,
    dtype: np.dtype[Any],
    backend: Backend | None,
    first: ClampedAffine | None = None,
) -> bool:
    """One pass; the field comes out in `dtype`, labels in their own. True where its array is a view of the one
    before."""
    state = fields[stage.field]
    for transform in stage.members:
        check_channels(transform, state)
    made = recipe(stage, fields, first or ClampedAffine(), backend)
    if state.kind == "labels":
        dtype = state.dtype
    loads = any(isinstance(t, Load) for t in stage.members)
    measures = any(isinstance(t, Measured) and t.needs_array for t in stage.members)
    view = made.is_view and state.dtype == dtype and not loads and not (backend is None and measures)
    if backend is not None:
        source = state.array if made.window is None else state.array[(slice(None), *made.window)]
        if view:
            state.array = source
        else:
            out = backend.empty((state.channels, *state.shape), dtype)
            backend.resample(source, out, made.tables, made.before, made.after)
            state.array = out
    state.dtype = dtype
    return view


def check_channels(transform: Transform, state: FieldState) -> None:
    """ConfigError where the transform names another number of channels than the field has."""
    if transform.channels not in (None, state.channels):
        raise ConfigError(
            f"{transform.place}: is made for {transform.channels} channels, {state.name!r} has {state.channels}",
            remedy="give one entry per channel",
        )


def run_single(stage: Single, fields: Fields, backend: Backend | None) -> None:
    transform = stage.transform
    for name in (stage.field,) if stage.field else transform.fields:
        check_channels(transform, fields[name])
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


def run_restored_argmax(stage: RestoredArgmax, fields: Fields, backend: Backend | None) -> None:
    """Linear restore and argmax as one step; one after the other for scores of another dtype than the pipeline's."""
    state = fields[stage.field]
    if not in_one_pass(state):
        for transform in stage.members:
            run_single(Single(transform, stage.field), fields, backend)
        return
    for transform in stage.members:
        check_channels(transform, state)
    stage.argmax.check_classes(state.channels)
    if backend is None:
        state.channels, state.dtype = 1, label_dtype(state.channels)
        state.restored()
    else:
        labels_on_loaded_grid(state, backend)
    state.kind = stage.argmax.outcome(state.kind)


def _run_barrier(transform: Barrier, state: FieldState, backend: Backend | None) -> None:
    if backend is None:
        before = state.shape
        transform.trace(state)
        check_grid(transform.place, before, state.shape)
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
    state.kind = transform.outcome(state.kind)


def run(stage: Stage, fields: Fields, dtype: np.dtype[Any], backend: Backend | None) -> bool:
    """Run one stage of a chain on `fields` in place; without a backend only the books are kept.

    True where a fused pass left its field a view of the array before.
    """
    if isinstance(stage, FusedPass):
        return run_pass(stage, fields, dtype, backend)
    if isinstance(stage, RestoredArgmax):
        run_restored_argmax(stage, fields, backend)
    else:
        run_single(stage, fields, backend)
    return False
