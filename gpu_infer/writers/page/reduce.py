"""Reduce a volume and its label maps to a grid that a browser loads quickly, slab by slab.

A block of f voxels per axis becomes one voxel in the middle of the block. Blocks at the end of an axis may reach beyond
it; the last voxels are repeated there.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.geometry import Geometry, Shape3

MOST_VOXELS = 256
"""Along each axis of a reduced grid: with 8 bits per voxel, a page of about 10 MB."""

_SLAB_VOXELS = 1 << 20
"""Voxels of a slab before it is reduced: what a reduction holds in memory is some ten times that, in bytes."""


def block_size(shape: Shape3, most: int = MOST_VOXELS) -> Shape3:
    """Return the voxels per axis of a block, so that no axis has more than `most` blocks."""
    i, j, k = (-(-n // most) for n in shape)
    return (i, j, k)


def reduced_geometry(geometry: Geometry, block: Shape3) -> Geometry:
    """Return the grid of the blocks; its voxels are centred in their blocks."""
    i, j, k = (-(-n // f) for n, f in zip(geometry.shape, block, strict=True))
    to_index = np.diag([*map(float, block), 1.0])
    to_index[:3, 3] = [(f - 1) / 2 for f in block]
    return Geometry((i, j, k), geometry.affine @ to_index)


def slabs(array: Voxels, block: Shape3) -> Iterator[Voxels]:
    """Cut [I, J, K] into slabs [k, J, I] of whole blocks, from the first k to the last."""
    turned = array.transpose(2, 1, 0)
    step = max(_SLAB_VOXELS // (turned.shape[1] * turned.shape[2] * block[2]), 1) * block[2]
    for start in range(0, turned.shape[0], step):
        slab = turned[start : start + step]
        missing = [(0, -n % f) for n, f in zip(slab.shape, reversed(block), strict=True)]
        yield np.pad(slab, missing, mode="edge") if any(after for _, after in missing) else slab


def block_means(slab: Voxels, block: Shape3) -> NDArray[np.float32]:
    """Return the mean of each block of a slab [k, J, I] of `slabs`."""
    if block == (1, 1, 1):
        return slab.astype(np.float32, order="C")
    i, j, k = block
    total = np.zeros([n // f for n, f in zip(slab.shape, (k, j, i), strict=True)], np.float32)
    for z, y, x in product(range(k), range(j), range(i)):
        total += slab[z::k, y::j, x::i]
    total *= np.float32(1 / (i * j * k))
    return total


def block_labels(slab: NDArray[Any], block: Shape3) -> NDArray[Any]:
    """Return the most frequent label around the centre of each block of a slab [k, J, I] of `slabs`.

    Of an odd number of voxels the middle one counts, of an even number the middle two: one to eight voxels of a block.
    Of labels that are equally frequent, the largest one is taken, so that thin structures win against the background.
    """
    middles = [(f // 2,) if f % 2 else (f // 2 - 1, f // 2) for f in reversed(block)]
    samples = [
        slab[tuple(slice(at, None, f) for at, f in zip(offset, reversed(block), strict=True))]
        for offset in product(*middles)
    ]
    result = samples[0].copy()
    if len(samples) > 1:
        mixed = np.zeros(result.shape, np.bool_)
        for sample in samples[1:]:
            mixed |= sample != result
        values = np.stack([sample[mixed] for sample in samples])
        frequency = np.stack([(values == one).sum(axis=0) for one in values])
        result[mixed] = np.where(frequency == frequency.max(axis=0, initial=0), values, 0).max(axis=0, initial=0)
    return result
