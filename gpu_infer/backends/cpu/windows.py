"""Gather windows into slots, blend scores into the rolling sums, and finalize rows of them, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from math import copysign
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.windows import Counts, FinalBox, WindowOperations
from gpu_infer.backends.cpu.kernels.bits import as_bits, is_half
from gpu_infer.backends.cpu.kernels.launch import FEW, LAUNCH
from gpu_infer.backends.cpu.kernels.strided import frozen, reading, writing
from gpu_infer.backends.layout import steps
from gpu_infer.backends.types import HostArray, RollingSums, SplitSums, Start, TwinArray

_NO_IMPORTANCE = reading(np.ones((1, 1, 1), np.float32))
"""Argument for a kernel that takes importance weights but does not read them."""

_NO_TOTALS = writing(np.empty((1, 1, 1), np.float32))
"""Argument for a kernel that takes totals of weights but does not write them."""

_ZERO = {4: frozen(np.zeros(1, np.float32)), 2: frozen(np.zeros(1, np.uint16))}
"""Voxels outside the volume, float32 and the bits of float16, by the bytes of one."""

_ONCE = frozen(np.ones(64, np.float32))
"""Repeats of windows that all count once, as almost all do."""


class CpuWindowOperations(WindowOperations):
    def __init__(self) -> None:
        self._nan_scores = 0

    def _gather(self, volume: HostArray, starts: Sequence[Start], slot: HostArray, fill: float | None) -> None:
        from gpu_infer.backends.cpu.kernels import windows

        source, target = reading(as_bits(volume)), writing(as_bits(slot))
        arguments = (
            source,
            volume.shape[1:],
            target,
            slot.shape,
            _table(starts),
            _fill(fill, slot.dtype),
            fill is None,
        )
        if slot.size <= FEW:
            windows.gather_windows_serial(*arguments)
            return
        with LAUNCH:
            windows.gather_windows(*arguments)

    def _blend(
        self,
        slot: HostArray,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: HostArray | None,
        rolling: RollingSums,
    ) -> None:
        from gpu_infer.backends.cpu.kernels import windows

        roi, heights, grid = slot.shape[2:], rolling.sums.shape[1:], rolling.shape
        rows = _touched_rows(starts, roi, heights, grid)
        if rows[0] >= rows[1]:
            return
        arguments = (
            reading(as_bits(slot)),
            writing(rolling.sums),
            heights,
            tuple(grid),
            slot.shape,
            rows,
            _table(starts),
            _repeats(repeats),
            _NO_IMPORTANCE if importance is None else reading(importance),
            importance is not None,
            _NO_TOTALS if rolling.weights is None else writing(rolling.weights),
            rolling.weights is not None,
        )
        if slot.size <= FEW:
            windows.add_windows_serial(*arguments)
            return
        with LAUNCH:
            windows.add_windows(*arguments)

    def _blend_split(
        self,
        slot: HostArray,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: HostArray | None,
        split: SplitSums,
    ) -> None:
        from gpu_infer.backends.cpu.kernels import windows

        roi = slot.shape[2:]
        for part in split.parts:  # raises ValueError if a window is longer than the sums
            heights, grid = part.rolling.sums.shape[1:], part.rolling.shape
            _touched_rows([split.start_in(part, start) for start in starts], roi, heights, grid)
        rows = _touched_rows(starts, roi, split.shape, split.shape)
        if rows[0] >= rows[1]:
            return
        arguments = (
            reading(as_bits(slot)),
            writing(split.sums).data,
            _parts(split),
            slot.shape,
            rows,
            _table(starts),
            _repeats(repeats),
            _NO_IMPORTANCE if importance is None else reading(importance),
            importance is not None,
            _NO_TOTALS.data if split.weights is None else writing(split.weights).data,
            split.weights is not None,
        )
        if slot.size <= FEW:
            windows.add_windows_to_parts_serial(*arguments)
            return
        with LAUNCH:
            windows.add_windows_to_parts(*arguments)

    def _finish_argmax(self, rolling: RollingSums, box: FinalBox, labels: HostArray) -> None:
        from gpu_infer.backends.cpu.kernels import finish

        for in_grid, in_sums in box.pieces:
            sums = rolling.sums[(slice(None), *in_sums)]
            with LAUNCH:
                self._nan_scores += finish.argmax_box_and_clear(writing(sums), writing(labels[in_grid]), sums.shape)
            if rolling.weights is not None:
                rolling.weights[in_sums] = 0

    def _finish_scores(self, rolling: RollingSums, box: FinalBox, counts: Counts, scores: HostArray) -> None:
        self._finish_means(rolling, box, counts, None, scores)

    def _finish_masks(
        self,
        rolling: RollingSums,
        box: FinalBox,
        counts: Counts,
        thresholds: NDArray[np.float32],
        masks: HostArray,
    ) -> None:
        self._finish_means(rolling, box, counts, frozen(np.asarray(thresholds, np.float32)), masks)

    def _finish_means(
        self,
        rolling: RollingSums,
        box: FinalBox,
        counts: Counts,
        thresholds: NDArray[np.float32] | None,
        out: HostArray,
    ) -> None:
        from gpu_infer.backends.cpu.kernels import finish

        for in_grid, in_sums in box.pieces:
            sums = rolling.sums[(slice(None), *in_sums)]
            target = out[(slice(None), *in_grid)]
            if rolling.weights is not None:
                total = rolling.weights[in_sums]
                with LAUNCH:
                    self._nan_scores += finish.weighted_mean_box_and_clear(
                        writing(sums), writing(total), writing(target), sums.shape, thresholds
                    )
                continue
            i, j, k = (frozen(np.asarray(c, np.float32)[s]) for c, s in zip(counts, in_grid, strict=True))
            with LAUNCH:
                self._nan_scores += finish.mean_box_and_clear(
                    writing(sums), writing(target), sums.shape, (i, j, k), thresholds
                )

    def take_nan_scores(self) -> int:
        """See `Backend.take_nan_scores`."""
        nans, self._nan_scores = self._nan_scores, 0
        return nans

    def _argmax(self, scores: HostArray, labels: HostArray) -> None:
        from gpu_infer.backends.cpu.kernels import finish

        if is_half(scores.dtype):
            scores = scores.astype(np.float32)
        with LAUNCH:
            finish.argmax_box(reading(scores), writing(labels), scores.shape)


def _table(starts: Sequence[Start]) -> HostArray:
    """[N, 3] int64."""
    return frozen(np.array(starts, np.int64).reshape(-1, 3))


def _fill(value: float | None, dtype: np.dtype[Any]) -> HostArray:
    """[1] of the value, 0 for None; float16 as bits."""
    if not value and (value is None or copysign(1, value) > 0):
        return _ZERO[dtype.itemsize]
    return frozen(as_bits(np.full(1, value, dtype)))


def _repeats(repeats: Sequence[int]) -> HostArray:
    """float32 with at least one entry per window."""
    if len(repeats) <= len(_ONCE) and all(times == 1 for times in repeats):
        return _ONCE
    return frozen(np.array(repeats, np.float32))


def _parts(split: SplitSums) -> HostArray:
    """int64 [P, 18] as `add_windows_to_parts` reads it. Raises ValueError if a part is not a view of the memory."""
    table = []
    for low, high, rolling in split.parts:
        begin, end = [0, 0, 0], [*split.shape]
        begin[split.axis], end[split.axis] = low, high
        weights = (0, 0, 0, 0) if rolling.weights is None else _place(rolling.weights, split.weights)
        table.append([*begin, *end, *rolling.sums.shape[1:], *_place(rolling.sums, split.sums), *weights])
    return frozen(np.array(table, np.int64))


def _place(view: HostArray, memory: TwinArray) -> tuple[int, ...]:
    """Index of the first element of `view` in `memory`, and the strides in elements; all of it is float32."""
    strides = steps(view)
    first = (view.ctypes.data - memory.ctypes.data) // memory.itemsize
    reach = [(n - 1) * step for n, step in zip(view.shape, strides, strict=True)]
    if first + sum(r for r in reach if r < 0) < 0 or first + sum(r for r in reach if r > 0) >= memory.size:
        raise ValueError("the sums of a part are not in the memory of the split sums")
    return (first, *strides)


def _touched_rows(
    starts: Sequence[Start], roi: Sequence[int], heights: Sequence[int], grid: Sequence[int]
) -> tuple[int, int]:
    """First and last + 1 index of the grid's first axis in windows of `roi`.

    Raises ValueError if a window inside the grid is longer than the rolling sums on an axis: two of its rows would
    share a place.
    """
    for axis, (r, height, n) in enumerate(zip(roi, heights, grid, strict=True)):
        if r > height:  # otherwise no window is too long
            rows = max(min(start[axis] + r, n) - max(start[axis], 0) for start in starts)
            if rows > height:
                raise ValueError(f"a box of {rows} rows on axis {axis} does not fit a ring of {height}")
    first = min(starts)[0]
    return max(first, 0), min(max(starts)[0] + roi[0], grid[0])
