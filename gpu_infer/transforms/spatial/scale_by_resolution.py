"""ScaleByResolution and ScaleBySpacing: resample to a voxel size in mm."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import field_validator, model_validator

from gpu_infer.backends.resampling import resampled_size
from gpu_infer.transforms.field import FieldState, Spacing, Steps
from gpu_infer.transforms.spatial.monai_spacing import monai_samples
from gpu_infer.transforms.spatial.resample import Resample, ResampleArguments
from gpu_infer.transforms.spatial.target_spacing import TargetSpacing, spacing_of
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

    With `placement` "monai", size and samples are those of MONAI's Spacing: see `monai_samples`.
    """

    @abstractmethod
    def target(self, field: FieldState) -> Spacing:
        """mm per voxel along X, Y, Z."""

    def target_shape(self, field: FieldState) -> Shape3:
        if self.args.placement == "monai":
            return monai_samples(field, self.target(field))[0]
        sizes = zip(field.shape, field.spacing, self.target(field), strict=True)
        x, y, z = (resampled_size(n, s, t) for n, s, t in sizes)
        return (x, y, z)

    def sample_steps(self, field: FieldState) -> Steps | None:
        return None if self.args.placement is None else monai_samples(field, self.target(field))[1]


class ScaleByResolution(_ScaleToSpacing):
    """size = max(1, round(n · spacing / target)) per axis X, Y, Z, `target_resolution` in mm in that
    order, null for an axis that stays; `placement` "monai" for MONAI's size and positions."""

    name = "ScaleByResolution"

    class Args(_SpacingArguments):
        target_resolution: TargetSpacing

    def target(self, field: FieldState) -> Spacing:
        return spacing_of(self.args.target_resolution, field)


class ScaleBySpacing(_ScaleToSpacing):
    """ScaleByResolution under its other name, with the target as `target_spacing`."""

    name = "ScaleBySpacing"

    class Args(_SpacingArguments):
        target_spacing: TargetSpacing

    def target(self, field: FieldState) -> Spacing:
        return spacing_of(self.args.target_spacing, field)
