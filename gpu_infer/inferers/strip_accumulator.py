"""Blend windows strip by strip: the sums of a whole grid never exist, nor those of a whole layer of windows.

Windows with one start along the outermost axis of the visits (A) are a layer; those of a layer with one start along the
second axis (B) are a strip, which runs along the third axis (C). A row along A that one layer alone covers is final as
soon as the strips of that layer have passed it: its sums roll along B. A row that several layers cover waits for the
next layer: its sums span B and C. Every voxel has one place, so that its sums have the order of the visits, as in
`Accumulator`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, Backend, RollingSums
from gpu_infer.backends.labels import label_dtype
from gpu_infer.backends.tables import float32
from gpu_infer.backends.types import SplitSums, SumsPart
from gpu_infer.inferers.accumulator import mirrored, window_counts
from gpu_infer.inferers.windows import Window, WindowGrid, runs
from gpu_infer.volume.geometry import Shape3

Rows = tuple[int, int]
"""low ≤ index < high."""


class Piece(NamedTuple):
    """Neighbouring rows along A whose sums are neighbours, too.

    shared  whether several layers cover them
    """

    low: int
    high: int
    shared: bool
    place: int


@dataclass(frozen=True)
class LayerRows:
    """Where the sums of the rows along A are.

    starts      of the layers, without repeats
    is_shared   [A] whether several layers cover a row
    places      [A] index among the sums
    final       per layer, the rows that are final after it
    heights     rows of sums that one layer needs: of rows that it covers alone, and of shared ones
    """

    roi: int
    starts: tuple[int, ...]
    is_shared: NDArray[np.bool_]
    places: NDArray[np.int64]
    final: tuple[Rows, ...]
    heights: tuple[int, int]

    @classmethod
    def of(cls, starts: Sequence[int], roi: int, size: int) -> LayerRows:
        """The rows of an axis of `size`, with windows of `roi` at `starts`."""
        distinct = tuple(sorted(set(starts)))
        spans = [(max(s, 0), min(s + roi, size)) for s in distinct]
        covers = np.zeros(size, np.int64)
        for low, high in spans:
            covers[low:high] += 1
        assert covers.all(), "windows cover every row"
        shared = covers > 1
        numbers = np.where(shared, np.cumsum(shared), np.cumsum(~shared)) - 1
        heights = [max(int((shared[a:b] == kind).sum()) for a, b in spans) for kind in (False, True)]
        sizes = np.where(shared, heights[True], heights[False])
        begins = [0, *(low for low, _ in spans[1:]), size]
        final = tuple((begins[n], begins[n + 1]) for n in range(len(spans)))
        return cls(roi, distinct, shared, numbers % np.maximum(sizes, 1), final, (heights[False], heights[True]))

    def pieces(self, low: int, high: int) -> list[Piece]:
        """The rows low ≤ row < high, which one layer covers, in as few pieces as possible."""
        pieces: list[Piece] = []
        for row in range(low, high):
            shared, place = bool(self.is_shared[row]), int(self.places[row])
            last = pieces[-1] if pieces else None
            if last is not None and last.shared == shared and last.place + (row - last.low) == place:
                pieces[-1] = last._replace(high=row + 1)
            else:
                pieces.append(Piece(row, row + 1, shared, place))
        return pieces


class FinalLabels(NamedTuple):
    """Labels [X, Y, Z] of a box of the grid, on the backend, whose first voxel has the index `low`."""

    low: Shape3
    labels: Array


def sums_shapes(grid: WindowGrid) -> tuple[Shape3, Shape3]:
    """Spatial shapes of both sums: of rows that one layer covers alone, and of shared ones."""
    a, b, _ = grid.visit_order
    own, shared = LayerRows.of(grid.axis_starts[a], grid.roi[a], grid.shape[a]).heights
    width = min(grid.roi[b], grid.shape[b])
    return _shape(grid, own, width), _shape(grid, shared, grid.shape[b])


def final_shape(grid: WindowGrid) -> Shape3:
    """Shape that contains the largest box of labels that becomes final at a time."""
    a, b, _ = grid.visit_order
    rows, width = (
        max(high - low for low, high in LayerRows.of(grid.axis_starts[axis], grid.roi[axis], grid.shape[axis]).final)
        for axis in (a, b)
    )
    return _shape(grid, rows, width)


class StripAccumulator:
    """Blends windows in the order of the visits, and hands over labels as soon as no later window touches them.

    thresholds  None: labels are the argmax over channels; else of the one channel, label 1 is above the threshold
    importance  float32 [R0, R1, R2] on the host, the weight of each voxel of a window; None: 1
    take        receives final labels; boxes follow each other along B, then along A, and cover the grid once
    """

    def __init__(
        self,
        backend: Backend,
        grid: WindowGrid,
        channels: int,
        take: Callable[[FinalLabels], None],
        *,
        thresholds: Sequence[float] | None = None,
        importance: NDArray[np.float32] | None = None,
    ) -> None:
        self._backend, self._grid, self._channels, self._take = backend, grid, channels, take
        self._a, self._b, self._c = grid.visit_order
        self._rows = LayerRows.of(grid.axis_starts[self._a], grid.roi[self._a], grid.shape[self._a])
        self._thresholds = None if thresholds is None else np.array([float32(t) for t in thresholds], np.float32)
        self._counts = window_counts(grid)
        self._importance = None if importance is None else backend.upload(importance)
        weighs = thresholds is not None and importance is not None
        shapes = sums_shapes(grid)
        voxels = sum(math.prod(shape) for shape in shapes)
        # one memory, so that a window is blended in one call
        self._all_sums = backend.zeros((channels * voxels,), np.float32)
        self._all_weights = backend.zeros((voxels,), np.float32) if weighs else None
        self._sums = _views(self._all_sums, [(channels, *shape) for shape in shapes])
        self._weights = [None, None] if self._all_weights is None else _views(self._all_weights, shapes)
        self._layer = 0
        self._split = self._layer_sums()
        self._final_width = 0  # rows along B below this one are final in the layer

    def add(self, outputs: Array, windows: Sequence[Window]) -> None:
        """Blend the model's outputs [N, K, R0, R1, R2] for `windows`, the next visits in order."""
        a, b = self._a, self._b
        if isinstance(outputs, np.ndarray):
            outputs = self._backend.upload(outputs)  # once, not for each piece
        for first, run in runs(windows, lambda window: (window.start[a], window.start[b], window.mirror)):
            self._advance(run[0].start[a], run[0].start[b])
            self._backend.blend_split(
                mirrored(outputs[first : first + len(run)], run[0].mirror),
                [window.start for window in run],
                [window.repeats for window in run],
                self._importance,
                self._split,
            )

    def add_group(self, outputs: Sequence[Array], windows: Sequence[Window]) -> None:
        """`add` the outputs of the only model."""
        (output,) = outputs
        self.add(output, windows)

    def close(self) -> None:
        """Hand over what remains."""
        self._finish_width(self._grid.shape[self._b])

    def _advance(self, layer_start: int, strip_start: int) -> None:
        layer = self._rows.starts.index(layer_start)
        if layer != self._layer:
            self._finish_width(self._grid.shape[self._b])
            self._layer, self._final_width = layer, 0
            self._split = self._layer_sums()
        self._finish_width(strip_start)

    def _layer_sums(self) -> SplitSums:
        """The sums of the rows that the layer covers."""
        start, grid = self._rows.starts[self._layer], self._grid
        pieces = self._rows.pieces(max(start, 0), min(start + grid.roi[self._a], grid.shape[self._a]))
        parts = [SumsPart(piece.low, piece.high, self._rolling(piece)) for piece in pieces]
        return SplitSums(grid.shape, self._a, self._all_sums, self._all_weights, parts)

    def _finish_width(self, end: int) -> None:
        """Hand over the final rows of the layer between `_final_width` and `end` along B."""
        begin, self._final_width = self._final_width, max(self._final_width, end)
        low, high = self._rows.final[self._layer]
        if end <= begin or high <= low:
            return
        grid = self._grid
        corner = self._replaced(self._replaced((0, 0, 0), self._a, low), self._b, begin)
        labels = self._backend.empty(_shape(grid, high - low, end - begin), self._dtype)
        for piece in self._rows.pieces(low, high):
            for first, last in self._unbroken(begin, end, piece.shared):
                box = list(self._slices(self._a, piece.low - low, piece.high - low))
                box[self._b] = slice(first - begin, last - begin)
                self._finish(piece, (first, last), labels[tuple(box)])
        self._take(FinalLabels(corner, labels))

    def _finish(self, piece: Piece, width: Rows, labels: Array) -> None:
        """`labels` of a piece, between the rows `width` along B, none of which wraps around."""
        whole, (begin, end) = self._rolling(piece), width
        place = begin % whole.sums.shape[1 + self._b]
        box = self._slices(self._b, place, place + end - begin)
        shape: Shape3 = (labels.shape[0], labels.shape[1], labels.shape[2])
        weights = None if whole.weights is None else whole.weights[box]
        rolling = RollingSums(whole.sums[(slice(None), *box)], shape, weights)
        if self._thresholds is None:
            self._backend.finish_argmax(rolling, (0, 0, 0), shape, labels)
            return
        counts = list(self._counts)
        counts[self._a] = counts[self._a][piece.low : piece.high]
        counts[self._b] = counts[self._b][begin:end]
        self._backend.finish_masks(rolling, (0, 0, 0), shape, counts, self._thresholds, labels[None])

    def _rolling(self, piece: Piece) -> RollingSums:
        """The sums of a piece, whose rows along A have the indices 0, 1, …; along B they may roll."""
        rows = self._slices(self._a, piece.place, piece.place + piece.high - piece.low)
        sums, weights = self._sums[piece.shared], self._weights[piece.shared]
        shape = self._replaced(self._grid.shape, self._a, piece.high - piece.low)
        return RollingSums(sums[(slice(None), *rows)], shape, None if weights is None else weights[rows])

    def _unbroken(self, begin: int, end: int, shared: bool) -> list[Rows]:
        """The rows begin ≤ row < end along B, in parts that do not wrap around in the sums."""
        height, parts = int(self._sums[shared].shape[1 + self._b]), list[Rows]()
        while begin < end:
            last = min(end, (begin // height + 1) * height)
            parts.append((begin, last))
            begin = last
        return parts

    @property
    def _dtype(self) -> np.dtype[np.unsignedinteger]:
        return np.dtype(np.uint8) if self._thresholds is not None else np.dtype(label_dtype(self._channels))

    @staticmethod
    def _slices(axis: int, low: int, high: int) -> tuple[slice, slice, slice]:
        box = [slice(None)] * 3
        box[axis] = slice(low, high)
        return (box[0], box[1], box[2])

    @staticmethod
    def _replaced(index: Shape3, axis: int, value: int) -> Shape3:
        values = [*index]
        values[axis] = value
        return (values[0], values[1], values[2])


def _views(memory: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Arrays of these shapes that follow each other in a memory [M]."""
    views, begin = list[Array](), 0
    for shape in shapes:
        end = begin + math.prod(shape)
        views.append(memory[begin:end].reshape(shape))
        begin = end
    return views


def _shape(grid: WindowGrid, rows: int, width: int) -> Shape3:
    """`rows` along A, `width` along B, all of C."""
    a, b, c = grid.visit_order
    shape = [0, 0, 0]
    shape[a], shape[b], shape[c] = rows, width, grid.shape[c]
    return (shape[0], shape[1], shape[2])
