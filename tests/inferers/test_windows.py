from __future__ import annotations

from collections import Counter
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.errors import ConfigError
from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.placement import clara_starts
from gpu_infer.inferers.windows import WindowGrid, choose_slab_axis, make_grid

ROIS = [16, 20, 24, 32, 48, 64, 96, 100, 128, 160, 192, 224, 256, 300, 320]

_shapes = st.tuples(*[st.integers(1, 40)] * 3)
_rois = st.tuples(*[st.integers(1, 30)] * 3)


def _as_the_text_says(size: int, roi: int) -> list[int]:
    """The definition step by step, with floats where it has floats."""
    padded = max(size, roi)
    interval = roi if roi == padded else int(max(roi - 16, 0.75 * roi))
    count = ceil(padded / interval)
    return [i * interval - max(i * interval + roi - padded, 0) for i in range(count)]


@pytest.mark.parametrize(
    ("size", "roi", "starts"),
    [
        (300, 160, [0, 140, 140]),
        (100, 64, [0, 36, 36]),
        (305, 160, [0, 144, 145]),
        (512, 320, [0, 192]),
        (64, 64, [0]),
        (65, 64, [0, 1]),
        (20, 64, [0]),
        (1, 1, [0]),
        (3, 1, [0, 1, 2]),
    ],
)
def test_examples(size: int, roi: int, starts: list[int]) -> None:
    assert clara_starts(size, roi) == starts


@pytest.mark.parametrize("roi", ROIS)
def test_every_size_follows_the_definition(roi: int) -> None:
    for size in range(1, 601):
        starts = clara_starts(size, roi)
        assert starts == _as_the_text_says(size, roi), size
        assert starts == sorted(starts)
        covered = np.zeros(max(size, roi), bool)
        for start in starts:
            covered[start : start + roi] = True
        assert covered.all(), size
        assert starts[-1] + roi == max(size, roi)


@given(shape=_shapes, roi=_rois)
def test_distinct_windows_are_all_windows_counted(shape: Any, roi: Any) -> None:
    grid = make_grid(shape, roi)
    assert grid.windows == list(product(*grid.axis_starts))
    repeats = {w.start: w.repeats for w in grid.distinct}
    assert len(repeats) == len(grid.distinct)
    assert Counter(grid.windows) == repeats


@given(shape=_shapes, roi=_rois)
def test_the_slab_axis_is_outermost_and_the_others_keep_their_order(shape: Any, roi: Any) -> None:
    grid = make_grid(shape, roi)
    others = [a for a in range(3) if a != grid.slab_axis]
    keys = [(w.start[grid.slab_axis], *(w.start[a] for a in others)) for w in grid.distinct]
    assert keys == sorted(keys)


@given(shape=_shapes, roi=_rois)
def test_counts_are_those_of_a_loop_over_windows(shape: Any, roi: Any) -> None:
    grid = make_grid(shape, roi)
    counted = np.zeros(shape, np.float32)
    for start in grid.windows:
        counted[tuple(slice(s, s + r) for s, r in zip(start, roi, strict=True))] += 1
    x, y, z = grid.counts
    assert x.dtype == y.dtype == z.dtype == np.float32
    np.testing.assert_array_equal(x[:, None, None] * y[:, None] * z, counted)
    assert counted.min() >= 1


def test_negative_starts_and_overhang_are_counted_inside_only() -> None:
    grid = WindowGrid((5, 6, 7), (4, 10, 4), "other", ((-2, 2, 3), (-2,), (-1, 3, 5)))
    assert grid.slab_axis == 2
    x, y, z = grid.counts
    assert x.tolist() == [1, 1, 1, 2, 2]
    assert y.tolist() == [1] * 6
    assert z.tolist() == [1, 1, 1, 1, 1, 2, 2]


def test_the_slab_axis_makes_the_smallest_accumulator() -> None:
    assert choose_slab_axis((512, 512, 300), (320, 320, 64)) == 2
    assert choose_slab_axis((512, 512, 60), (320, 320, 64)) == 0
    assert choose_slab_axis((100, 400, 200), (96, 96, 96)) == 1
    assert choose_slab_axis((50, 50, 50), (96, 96, 96)) == 0
    assert make_grid((512, 512, 300), (320, 320, 64)).rolling_shape == (512, 512, 64)


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="no voxels"):
        make_grid((10, 0, 10), (4, 4, 4))
    with pytest.raises(ConfigError, match="below 1"):
        make_grid((10, 10, 10), (4, 0, 4))


def test_neighbours_repeat_the_edges() -> None:
    grid = make_grid((6, 8, 4), (6, 4, 1), slice_axis=2, context=2)
    first, *_, last = grid.distinct
    assert (first.start, last.start) == ((0, 0, 0), (0, 4, 3))
    seen = grid.seen_with([first, last])
    assert [[start[2] for start in starts] for starts in seen] == [[0, 1], [0, 2], [0, 3], [1, 3], [2, 3]]
    assert {start[:2] for starts in seen for start in starts} == {(0, 0), (0, 4)}
    assert make_grid((6, 8, 4), (6, 4, 4)).seen_with([first]) == [[(0, 0, 0)]]


def test_each_slice_has_its_windows_once() -> None:
    """nnunet would place windows of size 1 at halves of a voxel."""
    nnunet = window_mode("nnunet", {"mirror_axes": (0, 1)})
    grid = make_grid((8, 8, 5), (4, 8, 1), nnunet, slice_axis=2)
    assert grid.axis_starts == ((0, 2, 4), (0,), (0, 1, 2, 3, 4))
    assert {window.repeats for window in grid.distinct} == {1}
    assert make_grid((8, 8, 1), (8, 8, 1), slice_axis=2).window_count == 1
    with pytest.raises(ConfigError, match=r"mirror_axes: found \[0, 1\] for slices across axis Y \(1\)"):
        make_grid((8, 8, 5), (4, 1, 4), nnunet, slice_axis=1)
