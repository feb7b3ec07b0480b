"""Shorten an axis by the repetitions of its windows, for sums that depend on the places of the windows alone.

The sum of the weights at a voxel depends on the voxel's offsets in the windows that cover it. Windows follow each other
in regular steps, so that most voxels have the offsets of an earlier one. Example: windows of 4 voxels at 0, 2, 4, 6 and
8 cover an axis of 12. Without those at 2, 4 and 6, and with the last one at 2 instead of 8, they cover a short axis of
6, and each voxel of the whole axis has the offsets of one of these 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_MOST_TRIALS = 16
"""Pairs of windows between which `shorten` tries to take out windows."""


class ShortAxis(NamedTuple):
    """An axis without some of its windows.

    size    its length
    starts  first voxel of each window on the short axis, None for windows that are taken out
    places  int64 [size of the whole axis]: the voxel of the short axis that has the same offsets in windows with the
            same repeats, in the same order
    """

    size: int
    starts: list[int | None]
    places: NDArray[np.int64]


class _Cell(NamedTuple):
    """The voxels from a window's start up to the next one.

    cover   (distance, repeats) from this window and those before it that reach its start. The offsets of a voxel
            follow from it and from the voxel's distance from the start
    length  number of voxels inside the axis
    """

    cover: tuple[tuple[int, int], ...]
    length: int


def shorten(starts: Sequence[int], repeats: Sequence[int], length: int, size: int) -> ShortAxis:
    """The short axis of windows of `length` voxels, with ascending first voxels, on an axis of `size` voxels."""
    cells = _cells(starts, repeats, length, size)
    gap = None if starts[0] < 0 else _gap(cells)  # an axis with padding has one window
    places = np.arange(size)
    if gap is None:
        return ShortAxis(size, list(starts), places)
    a, b, twins = gap
    moved = starts[b] - starts[a]
    places[starts[b] :] -= moved
    for n, twin in zip(range(a, b), twins, strict=True):
        first = starts[twin] if twin < a else starts[twin] - moved
        places[starts[n] : starts[n] + cells[n].length] = np.arange(first, first + cells[n].length)
    return ShortAxis(size - moved, [*starts[:a], *[None] * (b - a), *[s - moved for s in starts[b:]]], places)


def _cells(starts: Sequence[int], repeats: Sequence[int], length: int, size: int) -> list[_Cell]:
    cells = []
    first = 0
    for n, start in enumerate(starts):
        while starts[first] <= start - length:
            first += 1
        cover = tuple((start - starts[m], repeats[m]) for m in range(first, n + 1))
        end = starts[n + 1] if n + 1 < len(starts) else size
        cells.append(_Cell(cover, max(min(end, size) - start, 0)))
    return cells


def _gap(cells: Sequence[_Cell]) -> tuple[int, int, list[int]] | None:
    """(a, b, twins): without the windows a ≤ n < b, and with window b moved to the start of a, nothing is missing.

    The twin of such a window n is another one whose cell has the offsets of n's cell. None if there is no such gap.
    """
    trials = 0
    alike: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for n, cell in enumerate(cells):
        if cell.length:
            alike.setdefault(cell.cover, []).append(n)
    for a, cell in enumerate(cells):
        for b in reversed(alike.get(cell.cover, [])):
            if b <= a:
                break
            if trials == _MOST_TRIALS:
                return None
            trials += 1
            longest = {
                c.cover: n for n, c in sorted(enumerate(cells), key=lambda item: item[1].length) if not a <= n < b
            }
            twins = [longest.get(c.cover, -1) for c in cells[a:b]]
            if all(t >= 0 and cells[t].length >= c.length for t, c in zip(twins, cells[a:b], strict=True)):
                return a, b, twins
    return None
