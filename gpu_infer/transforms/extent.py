"""Bounding box and extreme points of the voxels above a value."""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend

Extent = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Point = tuple[int, int, int]


def bounding_box(array: Array, value: float | None, backend: Backend) -> Extent | None:
    """(first, last + 1) along X, Y, Z of the voxels of [C, X, Y, Z] that exceed `value` in any channel, or are not 0 if
    there is no value; None if there are no such voxels."""
    ends = []
    for occupied in backend.occupied_planes(array, value):
        planes = occupied.nonzero()[0]
        if not planes.size:
            return None
        ends.append((int(planes[0]), int(planes[-1]) + 1))
    return (ends[0], ends[1], ends[2])


def extreme_points(labels: Array, backend: Backend) -> list[Point]:
    """The voxels of [C, X, Y, Z] with a label above 0 that have the lowest and the highest X, then Y, then Z: six, or
    none if there is no such voxel.

    Of several in one plane it is the first in scan order, Z fastest.
    """
    box = bounding_box(labels, 0, backend)
    points: list[Point] = []
    for axis, (low, high) in enumerate(box or ()):
        for at in (low, high - 1):
            plane = tuple(slice(at, at + 1) if a == axis else slice(None) for a in range(3))
            is_label = np.any(backend.download(labels[(slice(None), *plane)]) > 0, axis=0)
            point = [int(i[0]) for i in is_label.nonzero()]
            point[axis] = at
            points.append((point[0], point[1], point[2]))
    return points
