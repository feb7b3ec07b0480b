"""Finalize rows of the accumulator to what the post-transforms read, and to probabilities on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends.base.backend import Array, Backend, RollingSums, Start
from gpu_infer.backends.base.scores import Improbable
from gpu_infer.backends.base.windows import box_pieces
from gpu_infer.backends.boxes import Box
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.inferers.accumulator import ArgmaxFinalizer, Finalizer, MaskFinalizer, window_counts
from gpu_infer.inferers.score_plan import TOLERANCE, ScorePlan, scratch_shape
from gpu_infer.inferers.windows import WindowGrid

_IDENTITY = ClampedAffine()
_COMPLEMENT = ClampedAffine(scale=-1.0, shift=1.0)


@dataclass(frozen=True)
class ScoreMaps:
    """Probabilities on the model's grid.

    plan        which maps they are
    array       [N, X, Y, Z] float32 or float16 on `backend`: the labels' (1 − p for a background label), then the
                uncertainty
    improbable  voxels whose scores are no probabilities, if the plan has them counted
    """

    plan: ScorePlan
    array: Array
    backend: Backend
    improbable: Improbable


class ScoreMapFinalizer:
    """The result of another finalizer, bit by bit, and `ScoreMaps` on the way.

    Labels are the argmax of the sums, as `ArgmaxFinalizer` compares them; masks and scores are made of the same means.
    """

    weighs = True

    def __init__(
        self,
        backend: Backend,
        grid: WindowGrid,
        channels: int,
        plan: ScorePlan,
        inner: Finalizer,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """dtype  of the maps, float32 or float16"""
        self._backend, self._grid, self._plan, self._inner = backend, grid, plan, inner
        self._counts = window_counts(grid)
        self.result = inner.result
        self._maps = backend.empty((plan.maps, *grid.shape), dtype)
        self._scratch: Array | None = backend.empty(scratch_shape(grid, channels), np.float32)
        half = plan.uncertainty and np.dtype(dtype) != np.float32
        self._entropy = backend.empty(scratch_shape(grid, channels)[1:], np.float32) if half else None
        self._improbable = Improbable(0, 0)

    def finalize(self, sums: RollingSums, low: Start, high: Start) -> None:
        for in_grid, in_sums in box_pieces(sums, low, high):
            for rows in self._parts(in_grid):
                self._finalize_part(sums, _shifted(in_grid, rows), _shifted(in_sums, rows))

    def score_maps(self) -> ScoreMaps:
        """The maps after the last row; the finalizer's own memory is freed."""
        self._scratch = self._entropy = None
        return ScoreMaps(self._plan, self._maps, self._backend, self._improbable)

    def _parts(self, box: Box) -> Iterator[Box]:
        """`box` in parts of as many planes as the scratch has, relative to its begin."""
        assert self._scratch is not None
        x, y, z = _shape(box)
        step = self._scratch.shape[1]
        for first in range(0, x, step):
            yield (slice(first, min(first + step, x)), slice(0, y), slice(0, z))

    def _finalize_part(self, sums: RollingSums, in_grid: Box, in_sums: Box) -> None:
        backend, target = self._backend, (slice(None), *in_grid)
        shape = _shape(in_grid)
        weights = None if sums.weights is None else sums.weights[in_sums]
        part = RollingSums(sums.sums[(slice(None), *in_sums)], shape, weights)
        assert self._scratch is not None
        scores = self._scratch[(slice(None), *(slice(0, n) for n in shape))]
        if isinstance(self._inner, ArgmaxFinalizer):
            backend.argmax(part.sums, self.result[in_grid])
        x, y, z = (c[s] for c, s in zip(self._counts, in_grid, strict=True))
        backend.finish_scores(part, (0, 0, 0), shape, (x, y, z), scores)
        if isinstance(self._inner, MaskFinalizer):
            masks = self.result[target]
            for c, threshold in enumerate(self._inner.thresholds):
                backend.threshold(scores[c : c + 1], masks[c : c + 1], float(threshold))
        elif not isinstance(self._inner, ArgmaxFinalizer):
            backend.gather(scores, [(0, 0, 0)], self.result[target][None], 0.0)
        self._write_maps(scores, self._maps[target])

    def _write_maps(self, scores: Array, maps: Array) -> None:
        """maps [N, X, Y, Z] of scores [K, X, Y, Z], which become probabilities."""
        backend, plan = self._backend, self._plan
        if plan.check is not None:
            outside, off_sum = backend.improbable(scores, TOLERANCE)
            counted = self._improbable
            self._improbable = Improbable(
                counted.outside + outside, counted.off_sum + (off_sum if plan.check == "sum" else 0)
            )
        backend.probabilities(scores, plan.activation)
        for n, (c, background) in enumerate(zip(plan.channels, plan.background, strict=True)):
            if background:
                backend.resample(scores[c : c + 1], maps[n : n + 1], None, _COMPLEMENT, _IDENTITY)
            else:  # a copy that is faster than a resampling
                backend.gather(scores[c : c + 1], [(0, 0, 0)], maps[None, n : n + 1], 0.0)
        if plan.uncertainty:
            self._write_entropy(scores, maps[-1])

    def _write_entropy(self, probabilities: Array, target: Array) -> None:
        if self._entropy is None:
            self._backend.entropy(probabilities, self._plan.exclusive, target)
            return
        wide = self._entropy[tuple(slice(0, n) for n in target.shape)]
        self._backend.entropy(probabilities, self._plan.exclusive, wide)
        self._backend.gather(wide[None], [(0, 0, 0)], target[None, None], 0.0)


def _shape(box: Box) -> tuple[int, int, int]:
    x, y, z = (s.stop - s.start for s in box)
    return (x, y, z)


def _shifted(box: Box, part: Box) -> Box:
    """`part` of `box`, in the indices of `box`."""
    x, y, z = (slice(s.start + p.start, s.start + p.stop) for s, p in zip(box, part, strict=True))
    return (x, y, z)
