"""ScaleByResolution and ScaleBySpacing: resample to a voxel size in mm."""

from __future__ import annotations

import math
from abc import abstractmethod

from pydantic import field_validator, model_validator

from gpu_infer.backends.resampling import resampled_size
from gpu_infer.transforms.arguments import PositiveTriple
from gpu_infer.transforms.field import FieldState, Position, Spacing
from gpu_infer.transforms.spatial.resample import Resample, ResampleArguments
from gpu_infer.volume.geometry import Shape3


class _SpacingArguments(ResampleArguments):
    """`placement` "monai" takes the place of `align_corners`."""

    placement: str | None = None

    @field_validator("placement", mode="before")
    @classmethod
    def _known_placement(cls, value: object) -> object:
        if value not in (None, "monai"):
            raise ValueError('expected "monai"')
        return value

    @model_validator(mode="before")
    @classmethod
    def _one_placement(cls, arguments: object) -> object:
        if isinstance(arguments, dict) and arguments.get("placement") is not None and "align_corners" in arguments:
            raise ValueError('"placement" and "align_corners" both place the samples: keep one')
        return arguments


class _ScaleToSpacing(Resample):
    """A resampling to `target` mm. By default size = max(1, round(n · spacing / target)), and the spacing follows.

    With `placement` "monai" the first sample stays, the spacing is the target itself, and
    size = round((n − 1) · spacing / target + 1), as MONAI's Spacing does.
    """

    @property
    @abstractmethod
    def target(self) -> Spacing:
        """mm per voxel along X, Y, Z."""

    def target_shape(self, field: FieldState) -> Shape3:
        sizes = zip(field.shape, field.spacing, self.target, strict=True)
        if self.args.placement == "monai":
            x, y, z = (round((n - 1) * s / t + 1.0) for n, s, t in sizes)  # halves to even, as MONAI rounds
        else:
            x, y, z = (resampled_size(n, s, t) for n, s, t in sizes)
        return (x, y, z)

    def sample_steps(self, field: FieldState) -> Position | None:
        if self.args.placement is None:
            return None
        x, y, z = (
            1.0 if math.isclose(t, s, rel_tol=1e-9) else t / s for s, t in zip(field.spacing, self.target, strict=True)
        )
        return (x, y, z)


class ScaleByResolution(_ScaleToSpacing):
    """size = max(1, round(n · spacing / target)) per axis X, Y, Z, `target_resolution` in mm in that
    order; `placement` "monai" for MONAI's size and positions."""

    name = "ScaleByResolution"

    class Args(_SpacingArguments):
        target_resolution: PositiveTriple

    @property
    def target(self) -> Spacing:
        target: Spacing = self.args.target_resolution
        return target


class ScaleBySpacing(_ScaleToSpacing):
    """ScaleByResolution under its other name, with the target as `target_spacing`."""

    name = "ScaleBySpacing"

    class Args(_SpacingArguments):
        target_spacing: PositiveTriple

    @property
    def target(self) -> Spacing:
        target: Spacing = self.args.target_spacing
        return target
