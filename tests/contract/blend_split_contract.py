"""What blend has to do on every backend with sums that are in parts: bit by bit what it does with each part alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from windows_contract import few
from windows_oracle import blended, random, unrolled

from gpu_infer.backends.base.backend import Backend, RollingSums
from gpu_infer.backends.types import SplitSums, SumsPart

Rows = tuple[int, int]


def split_sums(
    backend: Backend,
    channels: int,
    shape: tuple[int, int, int],
    axis: int,
    rows: Sequence[Rows],
    *,
    height: int | None = None,
    weights: bool = False,
) -> SplitSums:
    """Parts of the rows low ≤ row < high along `axis`; on the other axes, sums have at most `height` rows."""
    shapes = []
    for low, high in rows:
        heights = [n if height is None else min(n, height) for n in shape]
        heights[axis] = high - low
        shapes.append(heights)
    voxels = sum(int(np.prod(each)) for each in shapes)
    sums = backend.zeros((channels * voxels,), np.float32)
    totals = backend.zeros((voxels,), np.float32) if weights else None
    parts, begin = [], 0
    for (low, high), heights in zip(rows, shapes, strict=True):
        end = begin + int(np.prod(heights))
        grid = tuple(high - low if n == axis else size for n, size in enumerate(shape))
        rolling = RollingSums(
            sums[channels * begin : channels * end].reshape((channels, *heights)),
            (grid[0], grid[1], grid[2]),
            None if totals is None else totals[begin:end].reshape(heights),
        )
        parts.append(SumsPart(low, high, rolling))
        begin = end
    return SplitSums(shape, axis, sums, totals, parts)


def check_parts(backend: Backend, split: SplitSums, expected: Any, *, exact: bool = True) -> None:
    """The sums of each part are `expected` [K, X, Y, Z] at its rows; those of the grid that the parts do not have."""
    for low, high, rolling in split.parts:
        ours = unrolled(backend, rolling)
        theirs = expected.take(range(low, high), 1 + split.axis)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=0 if exact else 4e-6)


class BlendSplitContract:
    @pytest.mark.parametrize("dtype", [np.float32, np.float16])
    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_blend_into_parts(self, backend: Backend, dtype: Any, axis: int, weighted: bool) -> None:
        shape, roi = (7, 8, 9), (4, 3, 6)
        starts = [(0, 0, 0), (-2, 6, 0), (2, 4, -1), (2, 4, -1), (3, 1, 5), (9, 0, 0)]
        repeats = [1, 2, 1, 3, 1, 1]
        slot = random((7, 3, *roi), dtype)
        importance = np.abs(random(roi, seed=1)) if weighted else None
        split = split_sums(backend, 3, shape, axis, [(0, 2), (2, 3), (3, 6), (6, shape[axis])], weights=True)
        uploaded = None if importance is None else backend.upload(importance)
        backend.blend_split(backend.upload(slot), starts, repeats, uploaded, split)
        # a backend may fuse multiply and add, which rounds once less; the CPU's error is 0
        check_parts(backend, split, blended(shape, slot, starts, repeats, importance), exact=False)
        weights = blended(shape, np.ones((7, 1, *roi), np.float32), starts, repeats, importance)[0]
        for low, high, rolling in split.parts:
            assert rolling.weights is not None
            theirs = weights.take(range(low, high), axis)
            np.testing.assert_allclose(backend.download(rolling.weights), theirs, rtol=0, atol=4e-6)

    @few
    @given(
        starts=st.lists(st.tuples(*[st.integers(-4, 11)] * 3), min_size=1, max_size=5),
        roi=st.tuples(*[st.integers(1, 6)] * 3),
        axis=st.integers(0, 2),
        cuts=st.sets(st.integers(1, 12), max_size=10),
        gap=st.booleans(),
        weighted=st.booleans(),
    )
    def test_the_bits_of_a_part_are_those_of_blend(
        self, backend: Backend, starts: Any, roi: Any, axis: int, cuts: Any, gap: bool, weighted: bool
    ) -> None:
        shape = (13, 14, 15)
        edges = sorted({0, *cuts, shape[axis]})
        rows = list(pairwise(edges))[gap:]
        slot, repeats = random((len(starts), 2, *roi)), [1 + n % 3 for n in range(len(starts))]
        importance = backend.upload(np.abs(random(roi, seed=1))) if weighted else None
        split = split_sums(backend, 2, shape, axis, rows, weights=weighted)
        backend.blend_split(backend.upload(slot), starts, repeats, importance, split)
        for part in split.parts:
            sums = backend.zeros(part.rolling.sums.shape, np.float32)
            weights = backend.zeros(sums.shape[1:], np.float32) if weighted else None
            alone = RollingSums(sums, part.rolling.shape, weights)
            moved = [tuple(s - part.low * (n == axis) for n, s in enumerate(start)) for start in starts]
            backend.blend(backend.upload(slot), moved, repeats, importance, alone)
            np.testing.assert_array_equal(backend.download(part.rolling.sums), backend.download(sums))
            if weights is not None:
                np.testing.assert_array_equal(backend.download(part.rolling.weights), backend.download(weights))

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_parts_roll_along_the_other_axes(self, backend: Backend, axis: int) -> None:
        shape, roi, height = (11, 12, 13), (4, 4, 4), 5
        for n in range(8):
            start = (n, (3 * n) % 9, (5 * n) % 10)
            slot = random((1, 2, *roi), seed=n)
            split = split_sums(backend, 2, shape, axis, [(0, 3), (3, shape[axis])], height=height)
            backend.blend_split(backend.upload(slot), [start], [1], None, split)
            expected = blended(shape, slot, [start], [1])
            box = [np.arange(s, min(s + 4, size)) for s, size in zip(start, shape, strict=True)]
            for low, high, rolling in split.parts:
                rows = [*box]
                rows[axis] = rows[axis][(rows[axis] >= low) & (rows[axis] < high)]
                theirs = expected[np.ix_(range(2), *rows)]
                rows[axis] = rows[axis] - low
                np.testing.assert_array_equal(unrolled(backend, rolling)[np.ix_(range(2), *rows)], theirs)
                assert np.count_nonzero(backend.download(rolling.sums)) == np.count_nonzero(theirs)

    def test_a_mirrored_slot_on_the_host_and_more_parts_than_a_launch_takes(self, backend: Backend) -> None:
        shape = (6, 5, 24)
        slot = np.random.default_rng(3).integers(-9, 9, (2, 2, 3, 4, 20)).astype(np.float32)[..., ::-1]
        split = split_sums(backend, 2, shape, 2, [(k, k + 1) for k in range(24)])
        starts = [(0, 0, 3), (2, 1, 0)]
        backend.blend_split(slot, starts, [1, 2], None, split)
        check_parts(backend, split, blended(shape, slot, starts, [1, 2]))

    def test_mistakes_with_parts_are_refused(self, backend: Backend) -> None:
        slot, start = backend.zeros((1, 1, 4, 4, 4), np.float32), [(0, 0, 0)]
        split = split_sums(backend, 1, (8, 8, 8), 0, [(0, 3), (3, 8)])
        first, second = split.parts
        for parts in ([second, first], [first, first], [first, second._replace(low=4)], [second._replace(high=9)]):
            with pytest.raises(ValueError, match="does not follow row"):
                backend.blend_split(slot, start, [1], None, split._replace(parts=parts))
        with pytest.raises(ValueError, match="weights must be in every part or in none"):
            backend.blend_split(slot, start, [1], None, split._replace(weights=backend.zeros((8,), np.float32)))
        with pytest.raises(ValueError, match="one repeat per window, found 2 for 1"):
            backend.blend_split(slot, start, [1, 1], None, split)
        short = split_sums(backend, 1, (8, 8, 8), 0, [(0, 3), (3, 8)], height=3)
        with pytest.raises(ValueError, match="4 rows on axis 1 does not fit a ring of 3"):
            backend.blend_split(slot, start, [1], None, short)
