"""Whether a volume and a DICOM series have one grid, up to the order and the direction of axes."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np

from gpu_infer.errors import InputError
from gpu_infer.volume.geometry import Geometry, Orientation, format_shape

SAME_GRID_MM = 0.1
"""Largest distance between corresponding corners: NIfTI has affines in float32, and positions of slices are often
written with one decimal. A tenth of a millimetre moves no voxel to another place."""


def match_grids(volume: Geometry, series: Geometry, path: Path, folder: Path) -> Orientation:
    """The view of the volume's grid that is the grid of the series.

    Args:
        volume: grid of the labels.
        series: grid of the slices.
        path, folder: of the volume and of the series, for messages.

    Raises:
        InputError: no order and direction of the axes make the grids equal.
    """
    best_mm = np.inf
    sizes = [axes for axes in permutations(range(3)) if tuple(volume.shape[a] for a in axes) == series.shape]
    for axes in sizes:
        for bits in range(8):
            orientation = Orientation((axes[0], axes[1], axes[2]), (bool(bits & 1), bool(bits & 2), bool(bits & 4)))
            corners = volume.reoriented(orientation).corners()
            distance_mm = float(np.linalg.norm(corners - series.corners(), axis=1).max())
            if distance_mm <= SAME_GRID_MM:
                return orientation
            best_mm = min(best_mm, distance_mm)
    if not sizes:
        raise InputError(
            f"--dicom-reference {folder}: grid of {format_shape(series.shape)}, expected {format_shape(volume.shape)}"
            f" as in {path}, in any order of the axes",
            remedy="give the series from which the volume was converted",
        )
    raise InputError(
        f"--dicom-reference {folder}: corners are {best_mm:.3g} mm from those of {path}, expected at most"
        f" {SAME_GRID_MM:g} mm",
        remedy="give the series from which the volume was converted",
    )
