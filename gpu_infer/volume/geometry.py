"""Voxel grids in patient space, and orientation as a permutation and flips of axes.

An affine is a 4×4 float64 matrix that maps indices (i, j, k) of voxel centres to millimetres in RAS+, nibabel's
convention. ITK uses LPS+: the first two rows change sign when a grid is converted from or to ITK.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_infer.system.preload import preload

ArrayT = TypeVar("ArrayT")
Shape3 = tuple[int, int, int]
Affine = NDArray[np.float64]

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Orientation:
    """Map of the axes of a stored grid to the closest canonical (RAS+) axes.

    `axes[c]` is the stored axis that becomes canonical axis c; `flips[c]` is True if its direction is reversed.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def identity(cls) -> Orientation:
        return cls((0, 1, 2), (False, False, False))

    def view(self, array: ArrayT) -> ArrayT:
        """Return the canonical view of `array`, whose LAST three axes are the stored ones; only strides change.

        Works with NumPy and CuPy arrays. Writing to the view writes to the stored array.
        """
        stored: Any = array
        lead = stored.ndim - 3
        permuted = stored.transpose(*range(lead), *(lead + a for a in self.axes))
        steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        canonical: ArrayT = permuted[(slice(None),) * lead + steps]
        return canonical

    def shape(self, stored: Shape3) -> Shape3:
        """Return the canonical shape of a stored shape."""
        return (stored[self.axes[0]], stored[self.axes[1]], stored[self.axes[2]])


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid: `shape` in stored index order (i, j, k) and the RAS+ affine in mm."""

    shape: Shape3
    affine: Affine

    @classmethod
    def from_itk(
        cls,
        shape: Shape3,
        spacing: tuple[float, ...],
        origin: tuple[float, ...],
        direction: tuple[float, ...],
    ) -> Geometry:
        """Make a grid of SimpleITK's size, spacing, origin and direction (row-major 9-tuple), all in LPS+ mm."""
        affine = np.eye(4)
        matrix = np.asarray(direction, dtype=np.float64).reshape(3, 3) * np.asarray(spacing, dtype=np.float64)
        affine[:3, :3] = _LPS_FROM_RAS @ matrix
        affine[:3, 3] = _LPS_FROM_RAS @ np.asarray(origin, dtype=np.float64)
        return cls(shape, affine)

    def to_itk(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        """Return (spacing, origin, direction as a row-major 9-tuple) in LPS+ mm, as SimpleITK takes them."""
        spacing = self.spacing
        direction = (_LPS_FROM_RAS @ self.affine[:3, :3]) / np.asarray(spacing)
        origin = _LPS_FROM_RAS @ self.affine[:3, 3]
        return spacing, tuple(map(float, origin)), tuple(map(float, direction.ravel()))

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along the stored axes: the norms of the affine's columns."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(x), float(y), float(z))

    @cached_property
    def orientation(self) -> Orientation:
        """Permutation and flips from the stored axes to the closest canonical ones (nibabel's `io_orientation`)."""
        preload("nibabel", without=["pydicom"])
        from nibabel.orientations import io_orientation

        orientation = io_orientation(self.affine)
        axes = [0, 0, 0]
        flips = [False, False, False]
        for stored, (canonical, sign) in enumerate(orientation):
            axes[int(canonical)] = stored
            flips[int(canonical)] = bool(sign < 0)
        return Orientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))

    def reoriented(self, orientation: Orientation) -> Geometry:
        """Return the grid of the same voxels after `orientation.view`: permuted shape, and its affine."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1.0
        for canonical, (stored, flip) in enumerate(zip(orientation.axes, orientation.flips, strict=True)):
            matrix[stored, canonical] = -1.0 if flip else 1.0
            matrix[stored, 3] = self.shape[stored] - 1 if flip else 0.0
        return Geometry(orientation.shape(self.shape), self.affine @ matrix)

    def corners(self) -> NDArray[np.float64]:
        """Return the outer corners of the grid, [8, 3] in RAS+ mm: indices −0.5 and n−0.5 of each axis."""
        ends = [(-0.5, n - 0.5) for n in self.shape]
        index = np.array([[i, j, k, 1.0] for i in ends[0] for j in ends[1] for k in ends[2]])
        return np.asarray((self.affine @ index.T).T[:, :3])


def format_shape(shape: tuple[int, ...]) -> str:
    """Sizes for messages and logs: (64, 64, 48) becomes "64×64×48"."""
    return "×".join(map(str, shape))
