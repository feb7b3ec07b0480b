"""Masks of the voxels that are not background, with their holes filled."""

from __future__ import annotations

import math

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.memory_order import empty_like

FACES = 1
"""Background connects through faces, as in `scipy.ndimage.binary_fill_holes`."""

_HOLES = 9
"""Bytes per voxel of `Backend.fill_holes`: a mask, parents and sizes of components."""


def filled_mask(part: Array, backend: Backend) -> Array:
    """uint8 [C, X, Y, Z]: 1 if a voxel of this channel is not 0, or is enclosed by such voxels."""
    mask = empty_like(part, np.uint8, backend)
    backend.threshold(part, mask, None)
    for channel in range(part.shape[0]):
        backend.fill_holes(mask[channel], FACES, 1, mask[channel])
    return mask


def union_mask(array: Array, backend: Backend) -> Array:
    """uint8 [1, X, Y, Z]: 1 if a voxel is not 0 in any channel, or is enclosed by such voxels."""
    union = empty_like(array[:1], np.uint8, backend)
    if array.shape[0] == 1:
        backend.threshold(array, union, None)
    else:
        masks = empty_like(array, np.uint8, backend)
        backend.threshold(array, masks, None)
        backend.merge_masks(masks, [1] * array.shape[0], union[0])
        del masks  # before components are counted
    backend.fill_holes(union[0], FACES, 1, union[0])
    return union


def filled_mask_bytes(field: FieldState, channels: int) -> int:
    """Most bytes of `filled_mask` of `channels` channels."""
    return (channels + _HOLES) * math.prod(field.shape)


def union_mask_bytes(field: FieldState) -> int:
    """Most bytes of `union_mask`."""
    return (1 + max(field.channels, _HOLES)) * math.prod(field.shape)
