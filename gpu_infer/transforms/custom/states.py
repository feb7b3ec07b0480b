"""Checks of the states that custom transforms change."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.custom.errors import UnexpectedResultError
from gpu_infer.transforms.custom.values import kind, whole_numbers
from gpu_infer.transforms.field import Fields, FieldState, Resampled, Windowed


def trace_field(transform: Transform, hook: Any, field: FieldState) -> None:
    """`Barrier.trace` and a check of the state."""
    before = field.copy()
    hook(field)
    check_state(transform, field, before)


def trace_fields(transform: Transform, hook: Any, fields: Fields) -> None:
    """`Branch.trace` or `Metadata.update` and a check of all states."""
    before = {name: state.copy() for name, state in fields.items()}
    hook(fields)
    check_states(transform, fields, before)


def check_states(transform: Transform, fields: Fields, before: Fields) -> None:
    """Check the states in `fields`, `before` the hook; the new fields are those that `creates` names."""
    for name in (*before, *transform.creates):
        if name not in fields:
            raise UnexpectedResultError(f"the field {name!r}", found=f"none, only {', '.join(fields)}")
    for name, state in fields.items():
        if not isinstance(state, FieldState):
            raise UnexpectedResultError(f"a FieldState as {name!r}", state)
        if name not in before and name not in transform.creates:
            raise UnexpectedResultError("only new fields that `creates` names", found=repr(name))
        if name in before:
            check_state(transform, state, before[name])
        else:
            check_state(transform, state, state)


def check_state(transform: Transform, state: FieldState, before: FieldState) -> None:
    """Check the attributes of a state, and that a change of its grid was recorded."""
    name = repr(state.name)
    if not isinstance(state.channels, numbers.Integral) or isinstance(state.channels, bool) or state.channels < 1:
        raise UnexpectedResultError(f"a number of channels of {name}", state.channels)
    try:
        state.dtype = np.dtype(state.dtype)  # np.float32 itself is a usual slip
    except TypeError:
        raise UnexpectedResultError(f"a dtype of {name}", state.dtype) from None
    kind(state.kind, transform)
    state.shape = whole_numbers(state.shape, f"a shape (X, Y, Z) of {name}")
    spacing = state.spacing
    if len(spacing) != 3 or not all(isinstance(s, numbers.Real) and math.isfinite(s) and s > 0 for s in spacing):
        raise UnexpectedResultError(f"a spacing of {name} in mm", spacing)
    for step in state.history[len(before.history) :]:
        if not isinstance(step, (Resampled, Windowed)):
            raise UnexpectedResultError(f"changes of the grid of {name} by `windowed` and `resampled`", step)
        if isinstance(step, Windowed):
            whole_numbers(step.start, f"a first index (X, Y, Z) of {name}", least=None)
    if state.shape != before.shape and len(state.history) <= len(before.history):
        raise UnexpectedResultError(
            f"the grid {before.shape} of {name}",
            found=f"{state.shape}",
            remedy="call field.windowed or field.resampled, so that the change can be undone",
        )
