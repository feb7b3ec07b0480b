"""Where MONAI's Spacing places its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.resampling import Step
from gpu_infer.transforms.field import UNCHANGED, FieldState, Spacing, Steps
from gpu_infer.volume.geometry import Shape3

_NEAR = 1e-3
"""mm, and parts of a voxel: MONAI does not resample for less (AFFINE_TOL)."""

_MOST = 1e9  # samples along an axis; more are refused later, and the matrices below would overflow
_CORNER = 1e-8  # absolute tolerance of numpy.allclose, in samples of the new grid


def monai_samples(field: FieldState, target: Spacing) -> tuple[Shape3, Steps]:
    """Shape of the new grid, and its samples on the current one.

    The spacing is the target, or that of the field on an axis on which they differ by at most 0.001 mm, and
    size = round((n − 1) · spacing / target + 1). The first samples coincide, or the centres of both grids if the
    affine matrix of an oblique file is rounded so that no corner of the volume is the lowest on all axes.
    """
    x, y, z = (s if t - _NEAR <= s <= t + _NEAR else t for s, t in zip(field.spacing, target, strict=True))
    sizes = [t / s for s, t in zip(field.spacing, (x, y, z), strict=True)]
    shape = _shape(field.shape, field.spacing, (x, y, z))
    first = [0.0, 0.0, 0.0]
    if max(shape) < _MOST and not _has_lowest_corner(_matrix(field), (x, y, z), field.shape):
        first = [n / 2 - size * m / 2 for n, size, m in zip(field.shape, sizes, shape, strict=True)]
    offsets = [size - 1 for size in sizes] + first
    if shape == field.shape and all(abs(offset) <= _NEAR for offset in offsets):
        return shape, UNCHANGED
    a, b, c = (Step(size, start) for size, start in zip(sizes, first, strict=True))
    return shape, (a, b, c)


def _shape(shape: Shape3, spacing: Spacing, target: Spacing) -> Shape3:
    sizes = zip(shape, spacing, target, strict=True)
    x, y, z = (round((n - 1) * s / t + 1.0) for n, s, t in sizes)  # halves to even, as MONAI rounds
    return (x, y, z)


def _matrix(field: FieldState) -> NDArray[np.float64]:
    """[3, 3]: mm in RAS from one sample of the current grid to the next."""
    loaded = field.source.loaded
    matrix: NDArray[np.float64] = loaded.affine[:3, :3]
    return matrix if field.spacing == loaded.spacing else matrix * np.divide(field.spacing, loaded.spacing)


def _has_lowest_corner(matrix: NDArray[np.float64], target: Spacing, shape: Shape3) -> bool:
    """Whether a corner of the volume has the lowest index on all axes of a grid of `target` mm along its axes.

    In exact numbers one always has. MONAI compares to 1e-8, which is less than the rounding of an affine matrix of
    float32 makes of the other corners' indices, so that the same operations are needed here.
    """
    upper = np.linalg.cholesky(matrix.T @ matrix).T
    rotation = matrix @ np.linalg.inv(upper)
    turned = rotation @ np.diag(np.sign(np.diag(upper)) * np.array(target))
    corners = np.array(np.meshgrid(*((0.0, n - 1.0) for n in shape), indexing="ij")).reshape(3, -1)
    indices = np.linalg.solve(turned, matrix) @ corners
    lowest = (indices[:, None, :] - indices[:, :, None]).min(axis=2)  # [axis, corner]
    return bool((np.abs(lowest) <= _CORNER).all(axis=0).any())
