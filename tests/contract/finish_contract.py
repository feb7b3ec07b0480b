"""What finishing to labels and to scores has to do on every backend, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from windows_oracle import blended, random, unrolled

from gpu_infer.backends.base.backend import Backend, RollingSums
from gpu_infer.inferers.windows import WindowGrid, make_grid


class FinishContract:
    def test_finish_argmax_takes_the_lowest_of_a_tie_and_clears_the_box(self, backend: Backend) -> None:
        scores = np.random.default_rng(0).integers(0, 3, (5, 6, 7, 8)).astype(np.float32)
        ring = RollingSums(backend.upload(scores.copy()), (6, 7, 8))
        labels = backend.zeros((6, 7, 8), np.uint8)
        labels[...] = 99
        backend.finish_argmax(ring, (1, 0, 2), (5, 7, 6), labels)
        box = (slice(1, 5), slice(0, 7), slice(2, 6))
        expected = np.full((6, 7, 8), 99, np.uint8)
        expected[box] = scores.argmax(0)[box]
        np.testing.assert_array_equal(backend.download(labels), expected)
        left = scores.copy()
        left[(slice(None), *box)] = 0
        np.testing.assert_array_equal(backend.download(ring.sums), left)

    def test_negative_scores_and_one_channel(self, backend: Backend) -> None:
        scores = -1.0 - np.abs(random((3, 4, 5, 6)))
        labels = backend.zeros((4, 5, 6), np.uint8)
        backend.finish_argmax(RollingSums(backend.upload(scores.copy()), (4, 5, 6)), (0, 0, 0), (4, 5, 6), labels)
        np.testing.assert_array_equal(backend.download(labels), scores.argmax(0))
        backend.finish_argmax(RollingSums(backend.upload(scores[:1].copy()), (4, 5, 6)), (0, 0, 0), (4, 5, 6), labels)
        assert not backend.download(labels).any()

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_finish_follows_the_wrap(self, backend: Backend, axis: int) -> None:
        shape = (10, 11, 12)
        heights = list(shape)
        heights[axis] = 4
        low, high = [1, 0, 2], [9, 11, 12]
        for first in (0, 2, 3, 7):
            low[axis], high[axis] = first, first + 3
            sums = random((3, *heights), seed=first)
            ring = RollingSums(backend.upload(sums.copy()), shape)
            whole = unrolled(backend, ring).copy()
            labels = backend.zeros(shape, np.uint8)
            backend.finish_argmax(ring, tuple(low), tuple(high), labels)
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            expected = np.zeros(shape, np.uint8)
            expected[box] = whole.argmax(0)[box]
            np.testing.assert_array_equal(backend.download(labels), expected)
            assert np.count_nonzero(backend.download(ring.sums) == 0) == 3 * expected[box].size

    def test_more_than_256_classes(self, backend: Backend) -> None:
        scores = random((300, 3, 4, 5))
        labels = backend.zeros((3, 4, 5), np.uint16)
        backend.argmax(backend.upload(scores), labels)
        np.testing.assert_array_equal(backend.download(labels), scores.argmax(0))
        with pytest.raises(ValueError, match="300 channels do not fit labels of uint8"):
            backend.argmax(backend.upload(scores), backend.zeros((3, 4, 5), np.uint8))

    @pytest.mark.parametrize("dtype", [np.float32, np.float16])
    def test_argmax_of_strided_scores(self, backend: Backend, dtype: Any) -> None:
        scores = np.random.default_rng(0).integers(-2, 2, (6, 7, 8, 4)).astype(dtype).transpose(3, 2, 0, 1)[:, ::-1]
        stored = backend.zeros((7, 6, 8), np.uint8)
        backend.argmax(backend.upload(scores), stored.transpose(2, 1, 0))
        np.testing.assert_array_equal(backend.download(stored).transpose(2, 1, 0), scores.argmax(0))

    def test_nan_scores_are_counted_once(self, backend: Backend) -> None:
        backend.take_nan_scores()
        shape = (3, 4, 5)
        host = np.zeros((2, *shape), np.float32)
        host[0, 1, 1, 1] = host[1, 1, 1, 1] = host[1, 2, 3, 4] = np.nan
        host[1, 0, 0, 0], host[0, 2, 0, 0] = np.inf, -np.inf  # no numbers to a human, but they have an order
        counts = [np.ones(n, np.float32) for n in shape]
        for weights in (None, np.ones(shape, np.float32)):
            on_device = None if weights is None else backend.upload(weights.copy())
            ring = RollingSums(backend.upload(host.copy()), shape, on_device)
            backend.finish_scores(ring, (0, 0, 0), shape, counts, backend.empty((2, *shape), np.float32))
            assert backend.take_nan_scores() == 3
        ring = RollingSums(backend.upload(host.copy()), shape)
        labels = backend.empty(shape, np.uint8)
        backend.finish_argmax(ring, (0, 0, 0), (2, 4, 5), labels)
        backend.finish_argmax(ring, (2, 0, 0), (3, 4, 5), labels)
        assert backend.take_nan_scores() == 3
        assert backend.take_nan_scores() == 0

    def test_a_nan_behind_channel_0_never_wins(self, backend: Backend) -> None:
        scores = np.array([[1, np.nan, 1, np.nan], [np.nan, 2, 0, np.nan], [3, 1, np.nan, np.nan]], np.float32)
        labels = backend.zeros((1, 1, 4), np.uint8)
        backend.argmax(backend.upload(scores.reshape(3, 1, 1, 4)), labels)
        np.testing.assert_array_equal(backend.download(labels).ravel(), [2, 0, 0, 0])

    def test_finish_scores_divides_by_the_counts(self, backend: Backend) -> None:
        grid = make_grid((21, 30, 17), (16, 16, 20))
        sums = random((3, *grid.shape))
        ring = RollingSums(backend.upload(sums.copy()), grid.shape)
        scores = backend.zeros((3, *grid.shape), np.float32)
        backend.finish_scores(ring, (0, 0, 0), (21, 10, 17), grid.counts, scores)
        assert not backend.download(scores)[:, :, 10:].any()
        backend.finish_scores(ring, (0, 10, 0), grid.shape, grid.counts, scores)
        x, y, z = grid.counts
        expected = sums / (x[:, None, None] * y[:, None] * z)
        np.testing.assert_allclose(backend.download(scores), expected, rtol=3e-7)
        assert not backend.download(ring.sums).any()

    @pytest.mark.parametrize("weighted", [False, True])
    def test_weights_count_importance_and_repeats(self, backend: Backend, weighted: bool) -> None:
        shape, roi = (6, 7, 5), (4, 3, 6)
        starts = [(0, 0, 0), (-2, 5, 0), (2, 4, -1), (9, 0, 0)]
        repeats = [1, 2, 3, 1]
        slot = random((4, 2, *roi))
        importance = 0.1 + np.abs(random(roi, seed=1)) if weighted else None
        ring = RollingSums(backend.zeros((2, *shape), np.float32), shape, weights=backend.zeros(shape, np.float32))
        device_importance = None if importance is None else backend.upload(importance)
        backend.blend(backend.upload(slot), starts, repeats, device_importance, ring)
        expected = blended(shape, np.ones((4, 1, *roi), np.float32), starts, repeats, importance)[0]
        np.testing.assert_allclose(backend.download(ring.weights), expected, rtol=0, atol=1e-6)

    def test_finish_scores_divides_by_the_weights_and_clears_them(self, backend: Backend) -> None:
        shape = (6, 7, 8)
        sums, weights = random((3, *shape)), 0.01 + np.abs(random(shape, seed=1))
        ring = RollingSums(backend.upload(sums.copy()), shape, weights=backend.upload(weights.copy()))
        scores = backend.zeros((3, *shape), np.float32)
        unused = [np.full(n, np.nan, np.float32) for n in shape]
        backend.finish_scores(ring, (1, 0, 2), (5, 7, 6), unused, scores)
        box = (slice(1, 5), slice(0, 7), slice(2, 6))
        expected = np.zeros((3, *shape), np.float32)
        expected[(slice(None), *box)] = (sums / weights)[(slice(None), *box)]
        np.testing.assert_allclose(backend.download(scores), expected, rtol=3e-7)
        sums[(slice(None), *box)] = 0
        weights[box] = 0
        np.testing.assert_array_equal(backend.download(ring.sums), sums)
        np.testing.assert_array_equal(backend.download(ring.weights), weights)

    def test_no_weight_divides_as_floats_do(self, backend: Backend) -> None:
        sums = np.array([0.0, 1.0, -1.0], np.float32).reshape(1, 1, 1, 3)
        ring = RollingSums(backend.upload(sums), (1, 1, 3), weights=backend.zeros((1, 1, 3), np.float32))
        scores = backend.zeros((1, 1, 1, 3), np.float32)
        backend.finish_scores(ring, (0, 0, 0), (1, 1, 3), [np.ones(n, np.float32) for n in (1, 1, 3)], scores)
        np.testing.assert_array_equal(backend.download(scores).ravel(), [np.nan, np.inf, -np.inf])

    def test_finish_argmax_clears_weights_too(self, backend: Backend) -> None:
        ring = RollingSums(
            backend.zeros((2, 3, 4, 5), np.float32), (3, 4, 5), weights=backend.upload(np.ones((3, 4, 5), np.float32))
        )
        backend.finish_argmax(ring, (1, 0, 0), (3, 4, 5), backend.zeros((3, 4, 5), np.uint8))
        left = backend.download(ring.weights)
        assert left[:1].all()
        assert not left[1:].any()

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_weights_follow_the_wrap(self, backend: Backend, axis: int) -> None:
        shape, roi = (11, 12, 13), (4, 4, 4)
        heights = list(shape)
        heights[axis] = 5
        importance = 0.1 + np.abs(random(roi, seed=1))
        for row in (0, 3, 8):
            start = [2, 3, 1]
            start[axis] = row
            slot = random((1, 2, *roi), seed=row)
            ring = RollingSums(
                backend.zeros((2, *heights), np.float32), shape, weights=backend.zeros(heights, np.float32)
            )
            backend.blend(backend.upload(slot), [tuple(start)], [2], backend.upload(importance), ring)
            scores = backend.zeros((2, *shape), np.float32)
            low, high = [0, 0, 0], list(shape)
            low[axis], high[axis] = row, min(row + 4, shape[axis])
            for a in range(3):
                if a != axis:
                    low[a], high[a] = start[a], start[a] + roi[a]
            backend.finish_scores(ring, tuple(low), tuple(high), [np.ones(n, np.float32) for n in shape], scores)
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            inside = tuple(slice(0, b - a) for a, b in zip(low, high, strict=True))
            got = backend.download(scores)[(slice(None), *box)]
            np.testing.assert_allclose(got, slot[0][(slice(None), *inside)], rtol=1e-6)
            assert not backend.download(ring.weights).any()

    @pytest.mark.parametrize(
        ("shape", "roi"), [((40, 21, 23), (16, 16, 16)), ((20, 50, 9), (16, 20, 16)), ((19, 18, 60), (24, 16, 16))]
    )
    def test_a_rolling_scan_equals_the_whole(self, backend: Backend, shape: Any, roi: Any) -> None:
        grid = make_grid(shape, roi)
        outputs = np.random.default_rng(0).integers(-5, 5, (len(grid.distinct), 4, *roi)).astype(np.float32)
        naive = np.zeros((4, *(max(n, r) for n, r in zip(shape, roi, strict=True))), np.float32)
        by_start = {w.start: outputs[n] for n, w in enumerate(grid.distinct)}
        for start in grid.windows:
            x, y, z = (slice(s, s + r) for s, r in zip(start, roi, strict=True))
            naive[:, x, y, z] += by_start[start]
        expected = naive[:, : shape[0], : shape[1], : shape[2]].argmax(0)
        np.testing.assert_array_equal(rolling_scan(backend, grid, outputs), expected)


def rolling_scan(backend: Backend, grid: WindowGrid, outputs: NDArray[Any]) -> NDArray[Any]:
    """Blend every distinct window into the smallest ring, finishing rows as soon as they are final."""
    ring = RollingSums(backend.zeros((outputs.shape[1], *grid.rolling_shape), np.float32), grid.shape)
    labels = backend.zeros(grid.shape, np.uint8)
    low, high = [0, 0, 0], list(grid.shape)
    for n, window in enumerate(grid.distinct):
        backend.blend(backend.upload(outputs[n : n + 1]), [window.start], [window.repeats], None, ring)
        later = grid.distinct[n + 1 : n + 2]
        final = max(later[0].start[grid.slab_axis], 0) if later else grid.shape[grid.slab_axis]
        if final > low[grid.slab_axis]:
            high[grid.slab_axis] = final
            backend.finish_argmax(ring, tuple(low), tuple(high), labels)
            low[grid.slab_axis] = final
    return backend.download(labels)
