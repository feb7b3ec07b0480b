"""NormalizeIntensity: the z-score, of all voxels or of those that are not background."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from pydantic import model_validator

from gpu_infer.backends.base.backend import Array, Backend, Moments
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Flag
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.float32 import as_float32
from gpu_infer.transforms.intensity.measured_parts import MeasuredParts, MeasuredPartsArguments
from gpu_infer.transforms.intensity.moments import finite_moments
from gpu_infer.transforms.intensity.nonzero_mask import filled_mask, filled_mask_bytes, union_mask, union_mask_bytes


class NormalizeIntensity(MeasuredParts):
    """(x − mean) / std, with the population standard deviation, 1 if it is 0.

    With `nonzero`, mean and deviation are those of the voxels that are not 0, and voxels that are 0 stay 0. With
    `fill_holes` too, voxels that are enclosed by them belong to them, also if they are 0. With `use_mask_for_norm`,
    which is nnU-Net's, the mask is that of the voxels that are not 0 in any channel, with holes filled; mean and
    deviation are those of each channel inside the mask, and voxels outside are 0.
    """

    name = "NormalizeIntensity"

    class Args(MeasuredPartsArguments):
        nonzero: Flag = False
        fill_holes: Flag = False
        use_mask_for_norm: Flag = False

        @model_validator(mode="after")
        def _one_mask(self) -> Self:
            if self.use_mask_for_norm and (self.nonzero or self.fill_holes):
                raise ValueError('"use_mask_for_norm" has a mask of its own: leave "nonzero" and "fill_holes" out')
            if self.fill_holes and not self.nonzero:
                raise ValueError('"fill_holes" are those of the voxels that are not 0: set "nonzero": true')
            return self

    @property
    def nonzero_only(self) -> bool:
        return bool(self.args.nonzero)

    def scratch_bytes(self, field: FieldState) -> int:
        mask = 0
        if self.args.use_mask_for_norm:
            mask = union_mask_bytes(field)
        elif self.args.fill_holes:
            mask = filled_mask_bytes(field, 1 if self.args.channel_wise else field.channels)
        return super().scratch_bytes(field) + mask

    def measure(self, part: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        return zscore(finite_moments(self, part, field, backend, nonzero_only=self.nonzero_only))

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        if not (self.args.fill_holes or self.args.use_mask_for_norm):
            return super().apply(array, field, backend)
        array = as_float32(array, backend)
        out = backend.empty(array.shape, np.float32)
        union = union_mask(array, backend) if self.args.use_mask_for_norm else None
        each = self.args.channel_wise or union is not None
        step = 1 if each else max(1, field.channels)
        for first in range(0, field.channels, step):
            part = array[first : first + step]
            mask = filled_mask(part, backend) if union is None else union
            function = masked_zscore(self, part, mask, field, backend)
            backend.masked_affine(part, out[first : first + step], function, mask)
            del mask  # before the next one
        return out


def masked_zscore(transform: Transform, part: Array, mask: Array, field: FieldState, backend: Backend) -> ClampedAffine:
    """The z-score of the voxels of `part` [C, X, Y, Z] inside `mask`; outside it `part` is 0."""
    moments = finite_moments(transform, part, field, backend, nonzero_only=True)
    return zscore(_with_zeros(moments, int(np.sum(backend.histogram(mask)[1:]))))


def zscore(moments: Moments) -> ClampedAffine:
    return ClampedAffine(1.0 / (moments.std or 1.0), centre=moments.mean)


def _with_zeros(nonzero: Moments, voxels: int) -> Moments:
    """The moments of `voxels` voxels: those that are not 0, and zeros."""
    if not voxels:
        return nonzero
    share = nonzero.voxels / voxels
    variance = share * (nonzero.std**2 + (1 - share) * nonzero.mean**2)
    return Moments(voxels, share * nonzero.mean, math.sqrt(variance))
