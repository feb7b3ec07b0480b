"""Gather windows into slots, blend scores into the rolling sums, and finalize rows of them, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.windows import Counts, FinalBox, WindowOperations
from gpu_infer.backends.boxes import clip, hanging_parts, ring_boxes, shifted
from gpu_infer.backends.cpu.kernels import finish, windows
from gpu_infer.backends.cpu.kernels.half import as_bits, is_half
from gpu_infer.backends.cpu.kernels.jit import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import frozen, reading, writing
from gpu_infer.backends.types import HostArray, RollingSums, Start

_ONE = np.ones((1, 1, 1), np.float32)
"""Argument for a kernel that takes importance weights but does not read them."""


class CpuWindowOperations(WindowOperations):
    def __init__(self) -> None:
        self._nan_scores = 0

    def _gather(self, volume: HostArray, starts: Sequence[Start], slot: HostArray, fill: float) -> None:
        size = volume.shape[1:]
        roi = slot.shape[2:]
        for n, start in enumerate(starts):
            inside = clip(start, roi, size)
            for part in hanging_parts(inside, roi):
                slot[n][(slice(None), *part)] = fill
            if inside is not None:
                source = as_bits(volume)[(slice(None), *inside.grid)]
                target = as_bits(slot)[(n, slice(None), *inside.window)]
                with LAUNCH:
                    windows.copy_box(reading(source), writing(target), source.shape)

    def _blend(
        self,
        slot: HostArray,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: HostArray | None,
        rolling: RollingSums,
    ) -> None:
        heights = rolling.sums.shape[1:]
        for n, start in enumerate(starts):
            inside = clip(start, slot.shape[2:], rolling.shape)
            if inside is None:
                continue
            for in_grid, in_sums in ring_boxes(inside.grid, heights):
                in_window = shifted(in_grid, start)
                values = as_bits(slot)[(n, slice(None), *in_window)]
                sums = rolling.sums[(slice(None), *in_sums)]
                weights = reading(_ONE if importance is None else importance[in_window])
                times = np.float32(repeats[n])
                weighted = importance is not None
                with LAUNCH:
                    windows.add_box(reading(values), writing(sums), values.shape, times, weighted, weights)
                if rolling.weights is not None:
                    total = rolling.weights[in_sums]
                    self._add_weights(total, times, None if importance is None else importance[in_window])

    def _add_weights(self, total: HostArray, times: np.float32, importance: HostArray | None) -> None:
        """total += times · importance, both [I, J, K] float32."""
        if importance is None:
            total += times
            return
        values, sums = importance[np.newaxis], total[np.newaxis]
        with LAUNCH:
            windows.add_box(reading(values), writing(sums), values.shape, times, False, reading(_ONE))

    def _finish_argmax(self, rolling: RollingSums, box: FinalBox, labels: HostArray) -> None:
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
        if is_half(scores.dtype):
            scores = scores.astype(np.float32)
        with LAUNCH:
            finish.argmax_box(reading(scores), writing(labels), scores.shape)
