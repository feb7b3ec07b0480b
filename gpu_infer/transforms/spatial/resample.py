"""What the transforms that change the sampling share: interpolation, placement of the samples, and tables."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from pydantic import field_validator, model_validator

from gpu_infer.backends.base.backend import Backend, Tables
from gpu_infer.backends.resampling import Step, linear_table, nearest_table
from gpu_infer.backends.tap_tables import cubic_table, gaussian_radius, smooth_linear_table, tap_table
from gpu_infer.backends.taps import TapTable, TapTables
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Deviations, Flag
from gpu_infer.transforms.base import FieldsArguments, Regrid, RegridInterpolation
from gpu_infer.transforms.field import Fields, FieldState, Position
from gpu_infer.transforms.grid_limit import MOST_SAMPLES, check_grid
from gpu_infer.transforms.recipe import Recipe
from gpu_infer.volume.geometry import Shape3

_NAMES = ("linear", "nearest", "cubic")

AxisInterpolations = tuple[RegridInterpolation, RegridInterpolation, RegridInterpolation]


class ResampleArguments(FieldsArguments):
    """`interpolation` has precedence over `is_label`; without it labels take "nearest" and images "linear"."""

    is_label: Flag = False
    interpolation: RegridInterpolation | AxisInterpolations | None = None
    align_corners: Flag = True
    clip: Flag = False
    anti_aliasing: Flag = False
    anti_aliasing_sigma: Deviations | None = None

    @property
    def interpolations(self) -> AxisInterpolations:
        """That of X, Y and Z."""
        chosen = self.interpolation or ("nearest" if self.is_label else "linear")
        return (chosen, chosen, chosen) if isinstance(chosen, str) else chosen

    @field_validator("interpolation", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        axes = value if isinstance(value, (list, tuple)) else [value] * 3
        if value is not None and (len(axes) != 3 or any(axis not in _NAMES for axis in axes)):
            raise ValueError('expected "linear", "nearest" or "cubic", or 3 of them for X, Y, Z')
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _clip_of_cubic(self) -> Self:
        if self.clip and "cubic" not in (self.interpolation or ()):
            raise ValueError(
                '"clip" limits values of cubic interpolation: leave it out, or set "interpolation": "cubic"'
            )
        return self

    @model_validator(mode="after")
    def _smoothing(self) -> Self:
        if self.anti_aliasing_sigma is not None and not self.anti_aliasing:
            raise ValueError('"anti_aliasing_sigma" needs "anti_aliasing": set it to true, or leave both out')
        if self.anti_aliasing and "nearest" in self.interpolations:
            owner = "" if self.interpolation else " of labels"
            raise ValueError(
                f'"anti_aliasing" smooths before linear or cubic interpolation, found "nearest"{owner}: leave it out, '
                'or set "interpolation" to "linear" or "cubic"'
            )
        return self

    def sigmas(self, before: Shape3, after: Shape3) -> Position:
        """Deviation of the Gaussian along X, Y, Z, in samples of the grid `before`; 0 for none."""
        if not self.anti_aliasing:
            return (0.0, 0.0, 0.0)
        if self.anti_aliasing_sigma is not None:
            return self.anti_aliasing_sigma
        x, y, z = (max(0.0, (n / m - 1) / 2) for n, m in zip(before, after, strict=True))
        return (x, y, z)


class Resample(Regrid):
    """A regrid to a target shape. Values equal `scipy.ndimage.zoom(mode="nearest", grid_mode=False)` of order 1 if
    linear, 0 if nearest, 3 if cubic; `align_corners` false gives half-pixel centres (grid_mode=True). Cubic values can
    exceed the range of the input; `clip` limits them to it. With `anti_aliasing`, a Gaussian comes first, as in
    `skimage.transform.resize(mode="edge", anti_aliasing=True)`."""

    Args = ResampleArguments

    @property
    def interpolations(self) -> AxisInterpolations:
        """That of X, Y and Z."""
        interpolations: AxisInterpolations = self.args.interpolations
        return interpolations

    @property
    def interpolation(self) -> RegridInterpolation:
        x, y, z = self.interpolations
        return x if x == y == z else "cubic"

    @property
    def align_corners(self) -> bool:
        return bool(self.args.align_corners)

    @abstractmethod
    def target_shape(self, field: FieldState) -> Shape3:
        """(X', Y', Z') for a field's current grid."""

    def tables(self, field: FieldState) -> tuple[Shape3, Tables | TapTables]:
        try:
            shape = self.target_shape(field)
        except (OverflowError, ZeroDivisionError):  # more voxels than a float64 can represent
            raise ConfigError(
                f"{self.place}: {field.shape} voxels become more than 10^308 along an axis, "
                f"expected at most {MOST_SAMPLES}",
                remedy="check the target, and the spacing in the file",
            ) from None
        check_grid(self.place, field.shape, shape)
        steps = self.sample_steps(field)
        sigmas = self.args.sigmas(field.shape, shape)
        if self.interpolation == "cubic" or any(map(gaussian_radius, sigmas)):
            a, b, c = (self._taps(axis, field, shape, steps and steps[axis], sigmas[axis]) for axis in range(3))
            return shape, (a, b, c)
        table = nearest_table if self.interpolation == "nearest" else linear_table
        x, y, z = (
            table(n, m, align_corners=self.align_corners, step=steps and steps[axis])
            for axis, (n, m) in enumerate(zip(field.shape, shape, strict=True))
        )
        return shape, (x, y, z)

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        super().add_to_pass(recipe, fields, field, backend)
        if recipe.tables is None and any(map(gaussian_radius, self.args.anti_aliasing_sigma or ())):
            recipe.tables = self.tables(fields[field])[1]  # a grid of the same size is smoothed, too
        if self.args.clip and recipe.tables is not None and backend is not None:
            array = fields[field].array
            extrema = backend.extrema(array if recipe.window is None else array[(slice(None), *recipe.window)])
            if extrema.low <= extrema.high:
                recipe.limit(extrema.low, extrema.high)

    def _taps(self, axis: int, field: FieldState, shape: Shape3, step: Step | None, sigma: float) -> TapTable:
        name, n_in, n_out = self.interpolations[axis], field.shape[axis], shape[axis]
        if name == "cubic":
            return cubic_table(n_in, n_out, self.align_corners, step, sigma)
        if gaussian_radius(sigma):
            return smooth_linear_table(n_in, n_out, self.align_corners, step, sigma)
        table = nearest_table if name == "nearest" else linear_table
        return tap_table(table(n_in, n_out, self.align_corners, step))
