"""Where a mask begins and ends, and its extreme points."""

from __future__ import annotations

from gpu_infer.backends.base import Array, Backend

Extent = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Point = tuple[int, int, int]


def bounding_box(mask: Array, backend: Backend) -> Extent | None:
    """(first, last + 1) along X, Y, Z of the true voxels of a boolean array [X, Y, Z]; None where there are none."""
    ends = []
    for others in ((1, 2), (0, 2), (0, 1)):
        found = backend.download(mask.any(axis=others)).nonzero()[0]
        if not found.size:
            return None
        ends.append((int(found[0]), int(found[-1]) + 1))
    return (ends[0], ends[1], ends[2])


def extreme_points(mask: Array, backend: Backend) -> list[Point]:
    """The true voxels with the lowest and the highest X, then Y, then Z, six in all; none for an empty mask.

    Of several in one plane the first in scan order is taken, Z fastest.
    """
    box = bounding_box(mask, backend)
    points: list[Point] = []
    for axis, (low, high) in enumerate(box or ()):
        for at in (low, high - 1):
            plane = tuple(at if a == axis else slice(None) for a in range(3))
            where = [int(i[0]) for i in backend.download(mask[plane]).nonzero()]
            where.insert(axis, at)
            points.append((where[0], where[1], where[2]))
    return points
