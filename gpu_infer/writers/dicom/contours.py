"""Outlines of a mask along the edges of its pixels, as closed polygons without holes.

A polygon contains the centres of the pixels that it encloses, and its area is theirs. Pixels that touch at a corner
alone are two polygons. A hole is joined to the polygon around it by a channel of no width, a keyhole, because a
CLOSED_PLANAR contour of DICOM has one outline.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Polygon = NDArray[np.float64]


def trace(mask: Mask) -> list[Polygon]:
    """The polygons of a mask [row, column], each [points, 2] as (row, column); (0, 0) is the centre of a pixel.

    Points are at corners of pixels, half-way between centres. The first point is not repeated at the end.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    box = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    loops = _Loops(box)
    loops.walk()
    return [polygon + np.array([top - 1.5, left - 1.5]) for polygon in loops.polygons()]


class _Loops:
    """Closed chains of the corners at which the outline of a padded mask turns.

    A corner (r, c) is the top left of pixel (r, c). Each horizontal edge joins two corners that are neighbours in their
    row, the 1st and the 2nd, the 3rd and the 4th and so on; vertical edges the same in columns.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        up_left, up_right, low_left, low_right = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
        falling = up_left & low_right & ~up_right & ~low_left
        rising = ~up_left & ~low_right & up_right & low_left
        turns = (up_left ^ up_right ^ low_left ^ low_right) | falling | rising
        r, c = turns.nonzero()
        twice = (falling | rising)[r, c]
        repeats = 1 + twice
        self.rows, self.columns = np.repeat(r + 1, repeats), np.repeat(c + 1, repeats)
        # Where two pixels touch at a corner, the corner is there twice: first with the edge to its left, then with the
        # one to its right. The edge upwards belongs to the first one if the pixel above is at the left.
        second = np.zeros(self.rows.size, bool)
        second[np.cumsum(repeats)[twice] - 1] = True
        downwards = second ^ np.repeat(rising[r, c], repeats)
        order = np.lexsort((downwards, self.rows, self.columns))
        self._across = _partners(np.arange(self.rows.size))
        self._along = _partners(order)
        self._points: list[tuple[int, int]] = list(zip(self.rows.tolist(), self.columns.tolist(), strict=True))
        self._next: list[int] = [-1] * len(self._points)
        self._starts: list[int] = []
        self._owner = np.empty(0, np.intp)

    def walk(self) -> None:
        """Join the corners to loops with the mask at their right, and each hole to the loop at its left."""
        across, along, follow = self._across.tolist(), self._along.tolist(), self._next
        holes: list[int] = []
        for start, (row, column) in enumerate(self._points):
            if follow[start] >= 0:
                continue
            is_outer = bool(self._mask[row, column])  # `start` is the top left of its loop
            first, second = (across, along) if is_outer else (along, across)
            at = start
            while follow[at] < 0:
                middle = first[at]
                follow[at] = middle
                follow[middle] = at = second[middle]
            (self._starts if is_outer else holes).append(start)
        if holes:
            self._owner = np.full((self._mask.shape[0] + 1, self._mask.shape[1] + 1), -1)
            for corner in range(len(self._points)):
                self._own(corner)
            for hole in holes:
                self._join(hole)

    def polygons(self) -> list[Polygon]:
        """The points of each loop."""
        polygons = []
        for start in self._starts:
            chain = [start]
            while (at := self._next[chain[-1]]) != start:
                chain.append(at)
            points = np.array([self._points[n] for n in chain], np.float64)
            polygons.append(points[(points != np.roll(points, 1, axis=0)).any(axis=1)])
        return polygons

    def _own(self, corner: int) -> None:
        """Enter the edge that begins at `corner`, if it is vertical, for every point on it."""
        (row, column), (end, other) = self._points[corner], self._points[self._next[corner]]
        if column == other:
            self._owner[min(row, end) : max(row, end) + 1, column] = corner

    def _join(self, hole: int) -> None:
        """Cut from the top left of `hole` to the edge at its left. Holes above and at the left are joined already."""
        row, column = self._points[hole]
        both = self._mask[row - 1, :column] & self._mask[row, :column]
        target = int((~both).nonzero()[0][-1]) + 1
        edge = int(self._owner[row, target])
        outside, inside, back = len(self._points), len(self._points) + 1, len(self._points) + 2
        self._points += [(row, target), (row, column), (row, target)]
        self._next += [hole, back, self._next[edge]]
        # edge → outside → hole → … → inside (the hole's first corner again) → back → the edge's end
        last = hole
        while self._next[last] != hole:
            last = self._next[last]
        self._next[edge] = outside
        self._next[last] = inside
        for corner in (back, last):
            self._own(corner)


def _partners(order: NDArray[np.intp]) -> NDArray[np.intp]:
    """The other end of each corner's edge, if edges join the 1st and 2nd, the 3rd and 4th corner of `order`."""
    partners = np.empty_like(order)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners
