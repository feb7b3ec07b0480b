"""NormalizeAsNnunet: a normalisation scheme of nnU-Net for each channel."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from pydantic import field_validator, model_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.errors import InputError
from gpu_infer.transforms.arguments import number
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.float32 import as_float32, as_float32_bytes
from gpu_infer.transforms.intensity.moments import finite_moments
from gpu_infer.transforms.intensity.nonzero_mask import union_mask, union_mask_bytes
from gpu_infer.transforms.intensity.normalize_intensity import masked_zscore, zscore

SCHEMES = ("ct", "zscore", "masked_zscore", "rescale", "rgb", "none")

Foreground = tuple[float, float, float, float]
"""Least and greatest value, mean and deviation of the foreground of the training."""


class NormalizeAsNnunet(Barrier):
    """Normalises each channel by its own scheme of `schemes`.

    ct is clip to [low, high], then (x − mean) / deviation, from `foreground` [low, high, mean, deviation] of the
    channel (null for other schemes). zscore is of all voxels; masked_zscore of those inside the mask of voxels that
    are not 0 in any channel, with holes filled, and 0 outside. rescale maps the least value to 0 and the greatest to 1,
    rgb divides by 255, none changes nothing.
    """

    name = "NormalizeAsNnunet"
    scales_values = True

    class Args(FieldsArguments):
        schemes: tuple[str, ...]
        foreground: tuple[Foreground | None, ...] = ()

        @field_validator("schemes", mode="before")
        @classmethod
        def _known(cls, value: object) -> object:
            if not isinstance(value, (list, tuple)) or not value or any(entry not in SCHEMES for entry in value):
                raise ValueError(f"expected a list of {', '.join(SCHEMES)}, one per channel")
            return tuple(value)

        @field_validator("foreground", mode="before")
        @classmethod
        def _numbers(cls, value: object) -> object:
            entries = value if isinstance(value, (list, tuple)) else [value]
            return tuple(None if entry is None else _foreground(entry) for entry in entries)

        @model_validator(mode="after")
        def _one_per_ct(self) -> Self:
            known = [*self.foreground, *[None] * (len(self.schemes) - len(self.foreground))]
            if len(known) > len(self.schemes) or any(
                (scheme == "ct") is (entry is None) for scheme, entry in zip(self.schemes, known, strict=False)
            ):
                raise ValueError(
                    '"foreground" has numbers for each channel of the scheme "ct", and null for the others'
                )
            return self

    @property
    def channels(self) -> int | None:
        return len(self.args.schemes)

    def trace(self, field: FieldState) -> None:
        field.dtype = np.dtype(np.float32)

    def scratch_bytes(self, field: FieldState) -> int:
        """A mask, and a float32 copy of other numbers."""
        return as_float32_bytes(field) + (union_mask_bytes(field) if "masked_zscore" in self.args.schemes else 0)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        array = as_float32(array, backend)
        out = backend.empty(array.shape, np.float32)
        mask = union_mask(array, backend) if "masked_zscore" in self.args.schemes else None
        for channel, scheme in enumerate(self.args.schemes):
            part, target = array[channel : channel + 1], out[channel : channel + 1]
            if scheme == "masked_zscore":
                assert mask is not None
                backend.masked_affine(part, target, masked_zscore(self, part, mask, field, backend), mask)
            else:
                function = self._function(channel, part, field, backend)
                backend.resample(part, target, None, function, ClampedAffine())
        return out

    def _function(self, channel: int, part: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        scheme = self.args.schemes[channel]
        if scheme == "ct":
            low, high, mean, deviation = self.args.foreground[channel]
            return ClampedAffine(low=low, high=high).then(ClampedAffine(1.0 / deviation, centre=mean))
        if scheme == "zscore":
            return zscore(finite_moments(self, part, field, backend, nonzero_only=False))
        if scheme == "rescale":
            low, high, has_nan = backend.extrema(part)
            if has_nan or not (math.isfinite(low) and math.isfinite(high)):
                raise InputError(
                    f"{self.place}: {field.name!r} has voxels that are NaN or infinite, expected finite ones",
                    remedy='give LoadNifti "nan": 0, or repair the volume',
                )
            scale = 1.0 / (high - low) if high > low else 0.0
            return ClampedAffine(scale, 0.0, 0.0, 1.0, centre=low)
        return ClampedAffine(1.0 / 255.0) if scheme == "rgb" else ClampedAffine()


def _foreground(entry: object) -> Any:
    expected = "expected low, high, mean and deviation of a channel, low below high and the deviation above 0"
    if not isinstance(entry, (list, tuple)) or len(entry) != 4:
        raise ValueError(expected)
    low, high, mean, deviation = (number(value) for value in entry)
    if low > high or deviation <= 0:
        raise ValueError(expected)
    return (low, high, mean, deviation)
