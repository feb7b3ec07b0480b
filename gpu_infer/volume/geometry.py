"""Voxel grids in patient space, and orientation as a permutation and flips of axes.

Affines are 4×4 float64, take voxel indices (i, j, k) of voxel centres to millimetres in RAS+ (nibabel's
convention). ITK speaks LPS+: the first two rows change sign on the way in and out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ArrayT = TypeVar("ArrayT")
Shape3 = tuple[int, int, int]
Affine = NDArray[np.float64]

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Orientation:
    """How the axes of a stored grid map to closest canonical (RAS+) axes.

    `axes[c]` is the stored axis that becomes canonical axis c; `flips[c]` says that it runs the other way.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def identity(cls) -> Orientation:
        return cls((0, 1, 2), (False, False, False))

    def view(self, array: ArrayT) -> ArrayT:
        """Canonical view of `array` whose LAST three axes are the stored axes; no copy, only strides change.

        Works on NumPy and CuPy arrays alike. Writing through the view writes the stored array.
        """
        lead = array.ndim - 3  # type: ignore[attr-defined]
        moved = array.transpose(*range(lead), *(lead + a for a in self.axes))  # type: ignore[attr-defined]
        steps = tuple(slice(None, None, -1) if f else slice(None) for f in self.flips)
        return moved[(slice(None),) * lead + steps]  # type: ignore[no-any-return]

    def shape(self, stored: Shape3) -> Shape3:
        """Canonical shape of a stored shape."""
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
        """From SimpleITK's size, spacing, origin and direction (row-major 9-tuple), all in LPS+ mm."""
        affine = np.eye(4)
        matrix = np.asarray(direction, dtype=np.float64).reshape(3, 3) * np.asarray(spacing, dtype=np.float64)
        affine[:3, :3] = _LPS_FROM_RAS @ matrix
        affine[:3, 3] = _LPS_FROM_RAS @ np.asarray(origin, dtype=np.float64)
        return cls(shape, affine)

    def to_itk(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        """(spacing, origin, direction as a row-major 9-tuple) in LPS+ mm, as SimpleITK takes them."""
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
        """Permutation and flips, stored axes to closest canonical ones (nibabel's `io_orientation`)."""
        from nibabel.orientations import io_orientation

        ornt = io_orientation(self.affine)
        axes = [0, 0, 0]
        flips = [False, False, False]
        for stored, (canonical, sign) in enumerate(ornt):
            axes[int(canonical)] = stored
            flips[int(canonical)] = bool(sign < 0)
        return Orientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))

    def reoriented(self, orientation: Orientation) -> Geometry:
        """The same voxels seen through `orientation.view`: permuted shape and the affine to it."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1.0
        for canonical, (stored, flip) in enumerate(zip(orientation.axes, orientation.flips, strict=True)):
            matrix[stored, canonical] = -1.0 if flip else 1.0
            matrix[stored, 3] = self.shape[stored] - 1 if flip else 0.0
        return Geometry(orientation.shape(self.shape), self.affine @ matrix)

    def corners(self) -> NDArray[np.float64]:
        """[8, 3] RAS+ mm of the outer voxel corners (index −0.5 and n−0.5 per axis)."""
        ends = [(-0.5, n - 0.5) for n in self.shape]
        index = np.array([[i, j, k, 1.0] for i in ends[0] for j in ends[1] for k in ends[2]])
        return np.asarray((self.affine @ index.T).T[:, :3])


def format_shape(shape: tuple[int, ...]) -> str:
    """Sizes for messages and logs: (64, 64, 48) becomes "64×64×48"."""
    return "×".join(map(str, shape))
