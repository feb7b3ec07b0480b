"""The inferer's arguments `axes`, `slice_axis` and `context`: how a model's tensors hold a volume or its slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictInt

from gpu_infer.errors import ConfigError
from gpu_infer.triton.model.layout import AXES


def _axes(value: object) -> str:
    if isinstance(value, str):
        axes = value.upper()
        if len(axes) in (2, 3) and len(set(axes)) == len(axes) and set(axes) <= set(AXES):
            return axes
    raise ValueError('expected X, Y and Z in the order of the model\'s tensors, such as "ZYX", or two of them')


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Axes = Annotated[str, BeforeValidator(_axes)]
Context = Annotated[StrictInt, Field(ge=0, le=64)]
SliceAxis = Annotated[Literal["X", "Y", "Z"], BeforeValidator(_upper)]


def check_axes(axes: str | None, slice_axis: str | None) -> None:
    """Raise ConfigError if two `axes` contain the axis across slices."""
    if axes is not None and len(axes) == 2 and slice_axis is not None and slice_axis in axes:
        raise ConfigError(
            f"axes {axes} are those of slices, and slice_axis {slice_axis} is one of them",
            remedy=f"leave slice_axis out: slices with these axes are across {_missing(axes)}",
        )


def plane_axes(axes: str | None, slice_axis: str | None) -> str:
    """The axes of slices in the order of the model's tensors; slices are across Z if nothing says otherwise."""
    axes = axes or AXES
    return axes if len(axes) == 2 else axes.replace(slice_axis or "Z", "")


def with_third_size(arguments: Mapping[str, object]) -> Mapping[str, object]:
    """`arguments` with a third number in a `roi_size` of two, which is the window of a 2-D model inside a slice.

    The two numbers are in the order of X, Y, Z without the axis across slices. That axis becomes the `slice_axis`, so
    that a 3-D model is refused. Other values stay as they are: validation names them.
    """
    roi, axes, slice_axis = (arguments.get(key) for key in ("roi_size", "axes", "slice_axis"))
    if not isinstance(roi, list) or len(roi) != 2 or not all(_is_size(n) for n in roi):
        return arguments
    if isinstance(axes, str) and len(axes) == 2 and slice_axis is None:
        slice_axis = next((axis for axis in AXES if axis not in axes.upper()), None)
    across = "Z" if slice_axis is None else slice_axis
    if not isinstance(across, str) or across.upper() not in tuple(AXES):
        return arguments
    at = AXES.index(across.upper())
    return {**arguments, "roi_size": [*roi[:at], 1, *roi[at:]], "slice_axis": across}


def _is_size(value: object) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool) and str(value).isdecimal() and int(value) > 0


def _missing(axes: str) -> str:
    return next(axis for axis in AXES if axis not in axes)
