"""The voxel size that a resampling is asked for: mm per axis, or that of the file."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from gpu_infer.transforms.arguments import number
from gpu_infer.transforms.field import FieldState, Spacing

_Target = tuple[float | None, float | None, float | None]


def _target(value: object) -> _Target:
    if isinstance(value, (list, tuple)) and len(value) == 3:
        try:
            x, y, z = (None if entry is None else number(entry) for entry in value)
        except ValueError:
            pass
        else:
            if all(entry is None or entry > 0 for entry in (x, y, z)):
                return (x, y, z)
    raise ValueError("expected 3 positive numbers, or null for the spacing of the file")


TargetSpacing = Annotated[_Target, BeforeValidator(_target)]
"""mm along X, Y, Z; None: the axis stays as it is."""


def spacing_of(target: _Target, field: FieldState) -> Spacing:
    """`target`, with the spacing of the field where it is None."""
    x, y, z = (spacing if entry is None else entry for entry, spacing in zip(target, field.spacing, strict=True))
    return (x, y, z)
