"""What finishing to masks has to do on every backend, against NumPy and against scores and thresholds one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from windows_oracle import full_ring, random, unrolled

from gpu_infer.backends.base.backend import Backend, RollingSums
from gpu_infer.inferers.windows import make_grid

SHAPE = (6, 7, 8)
ONES = [np.ones(n, np.float32) for n in SHAPE]


class FinishMasksContract:
    def test_finish_masks_compares_the_mean_and_clears_the_box(self, backend: Backend) -> None:
        # halves of whole numbers: many scores lie exactly on their cut, which is not above it
        sums = np.random.default_rng(0).integers(-4, 5, (3, *SHAPE)).astype(np.float32)
        ring = RollingSums(backend.upload(sums.copy()), SHAPE)
        masks = backend.upload(np.full((3, *SHAPE), 99, np.uint8))
        cuts = np.array([0.5, -1.0, 0.0], np.float32)
        twice = [np.full(SHAPE[0], 2, np.float32), *ONES[1:]]
        backend.finish_masks(ring, (1, 0, 2), (5, 7, 6), twice, cuts, masks)
        box = (slice(None), slice(1, 5), slice(0, 7), slice(2, 6))
        expected = np.full((3, *SHAPE), 99, np.uint8)
        expected[box] = (sums / 2 > cuts[:, None, None, None])[box]
        np.testing.assert_array_equal(backend.download(masks), expected)
        sums[box] = 0
        np.testing.assert_array_equal(backend.download(ring.sums), sums)

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("channels", [1, 2, 5])
    def test_finish_masks_equals_scores_and_thresholds_to_the_last_bit(
        self, backend: Backend, channels: int, weighted: bool
    ) -> None:
        grid = make_grid((11, 15, 40), (8, 8, 33))
        sums = random((channels, *grid.shape), seed=channels)
        weights = 0.01 + np.abs(random(grid.shape, seed=9))
        scores = backend.zeros(sums.shape, np.float32)
        backend.finish_scores(_ring(backend, sums, weights, weighted), (0, 0, 0), grid.shape, grid.counts, scores)
        held = backend.download(scores)
        cuts = held.reshape(channels, -1)[:, 77].copy()  # each is one of its own channel's scores
        masks, expected = (backend.zeros(sums.shape, np.uint8) for _ in range(2))
        for c, cut in enumerate(cuts):
            backend.threshold(scores[c : c + 1], expected[c : c + 1], float(cut))
        ring = _ring(backend, sums, weights, weighted)
        backend.finish_masks(ring, (0, 0, 0), (5, 15, 40), grid.counts, cuts, masks)
        backend.finish_masks(ring, (5, 0, 0), grid.shape, grid.counts, cuts, masks)
        np.testing.assert_array_equal(backend.download(masks), backend.download(expected))
        assert not backend.download(ring.sums).any()
        assert ring.weights is None or not backend.download(ring.weights).any()
        assert 0 < backend.download(masks).mean() < 1

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_finish_masks_follows_the_wrap(self, backend: Backend, axis: int) -> None:
        shape = (10, 11, 12)
        heights = list(shape)
        heights[axis] = 4
        low, high = [1, 0, 2], [9, 11, 12]
        for first in (0, 2, 3, 7):
            low[axis], high[axis] = first, first + 3
            ring = RollingSums(backend.upload(random((2, *heights), seed=first)), shape)
            whole = unrolled(backend, ring).copy()
            masks = backend.zeros((2, *shape), np.uint8)
            counts, cuts = [np.ones(n, np.float32) for n in shape], np.array([0.1, -0.2], np.float32)
            backend.finish_masks(ring, tuple(low), tuple(high), counts, cuts, masks)
            box = (slice(None), *(slice(a, b) for a, b in zip(low, high, strict=True)))
            expected = np.zeros((2, *shape), np.uint8)
            expected[box] = (whole > cuts[:, None, None, None])[box]
            np.testing.assert_array_equal(backend.download(masks), expected)

    def test_finish_masks_of_nan_and_infinite_scores(self, backend: Backend) -> None:
        values = [np.nan, np.inf, -np.inf, np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(1)), -0.0]
        backend.take_nan_scores()
        for cut, expected in ((0.3, [0, 1, 0, 0, 1, 0]), (0.0, [0, 1, 0, 1, 1, 0]), (-np.inf, [0, 1, 0, 1, 1, 1])):
            ring = RollingSums(backend.upload(np.array(values, np.float32).reshape(1, 1, 1, 6)), (1, 1, 6))
            masks = backend.zeros((1, 1, 1, 6), np.uint8)
            counts = [np.ones(n, np.float32) for n in (1, 1, 6)]
            backend.finish_masks(ring, (0, 0, 0), (1, 1, 6), counts, np.array([cut], np.float32), masks)
            assert backend.download(masks).ravel().tolist() == expected
            assert backend.take_nan_scores() == 1

    def test_masks_in_any_memory_order(self, backend: Backend) -> None:
        sums = random((2, *SHAPE))
        for axes in itertools.permutations((1, 2, 3)):
            ring = RollingSums(backend.upload(sums.copy()), SHAPE)
            stored = backend.zeros((2, *(SHAPE[a - 1] for a in axes)), np.uint8)
            masks = stored.transpose(0, *(1 + axes.index(a) for a in (1, 2, 3)))
            backend.finish_masks(ring, (0, 0, 0), SHAPE, ONES, np.zeros(2, np.float32), masks)
            actual = backend.download(stored).transpose(0, *(1 + axes.index(a) for a in (1, 2, 3)))
            np.testing.assert_array_equal(actual, sums > 0)

    def test_what_finish_masks_refuses(self, backend: Backend) -> None:
        ring = full_ring(backend, 2, SHAPE)
        masks, cuts = backend.zeros((2, *SHAPE), np.uint8), np.zeros(2, np.float32)
        with pytest.raises(ValueError, match=r"masks must be uint8 \(2, 6, 7, 8\), found float32"):
            backend.finish_masks(ring, (0, 0, 0), SHAPE, ONES, cuts, backend.zeros((2, *SHAPE), np.float32))
        with pytest.raises(ValueError, match=r"thresholds of shape \(3,\) do not fit 2 channels"):
            backend.finish_masks(ring, (0, 0, 0), SHAPE, ONES, np.zeros(3, np.float32), masks)
        with pytest.raises(ValueError, match="counts of lengths"):
            backend.finish_masks(ring, (0, 0, 0), SHAPE, ONES[::-1], cuts, masks)
        with pytest.raises(ValueError, match="not inside the grid"):
            backend.finish_masks(ring, (0, 0, 0), (7, 7, 8), ONES, cuts, masks)


def _ring(backend: Backend, sums: np.ndarray, weights: np.ndarray, weighted: bool) -> RollingSums:
    held = backend.upload(weights.copy()) if weighted else None
    return RollingSums(backend.upload(sums.copy()), sums.shape[1:], held)
