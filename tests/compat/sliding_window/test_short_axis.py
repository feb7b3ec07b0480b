"""Axes shortened by the repetitions of their windows: a voxel and its place have the same offsets in windows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_infer.compat.sliding_window.short_axis import shorten

Offsets = list[tuple[tuple[int, int], ...]]


def offsets(starts: list[int | None], repeats: list[int], length: int, size: int) -> Offsets:
    """For each voxel, its (offset, repeats) in the windows that cover it, in their order."""
    windows = [(s, times) for s, times in zip(starts, repeats, strict=True) if s is not None]
    return [tuple((x - s, times) for s, times in windows if 0 <= x - s < length) for x in range(size)]


def assert_equal_offsets(starts: list[int], repeats: list[int], length: int, size: int) -> None:
    axis = shorten(starts, repeats, length, size)
    short = offsets(axis.starts, repeats, length, axis.size)
    assert [short[place] for place in axis.places] == offsets(list(starts), repeats, length, size)


@settings(deadline=None, max_examples=300)
@given(
    starts=st.lists(st.integers(-3, 50), min_size=1, max_size=12).map(sorted),
    repeats=st.lists(st.integers(1, 2), min_size=12, max_size=12),
    length=st.integers(1, 12),
    size=st.integers(1, 50),
)
def test_any_windows(starts: list[int], repeats: list[int], length: int, size: int) -> None:
    assert_equal_offsets(starts, repeats[: len(starts)], length, size)


@settings(deadline=None, max_examples=300)
@given(length=st.integers(1, 20), size=st.integers(1, 200), step=st.floats(0.4, 25.0), shift=st.integers(0, 8))
def test_even_steps(length: int, size: int, step: float, shift: int) -> None:
    """Rounded, as in the grid nnunet; the last window moved back, as in the grid monai."""
    starts = [round(n * step) for n in range(int(size / step) + 1)]
    starts[-1] = max([starts[-1] - shift, *starts[-2:-1]])
    assert_equal_offsets(starts, [1] * len(starts), length, size)


def test_one_period_remains() -> None:
    axis = shorten([0, 2, 4, 6, 8], [1] * 5, 4, 12)
    assert axis.size == 6
    assert axis.starts == [0, None, None, None, 2]
    assert axis.places.tolist() == [0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5]


@pytest.mark.parametrize(("length", "step", "size"), [(32, 24, 96), (32, 16, 48), (64, 32, 96)])
def test_common_grids_are_short(length: int, step: int, size: int) -> None:
    starts = [min(n * step, 192 - length) for n in range(-(-(192 - length) // step) + 1)]
    assert shorten(starts, [1] * len(starts), length, 192).size == size


def test_what_does_not_repeat_stays_whole() -> None:
    starts = list(itertools.accumulate(range(1, 30)))
    axis = shorten(starts, [1] * len(starts), 12, 450)
    assert axis.places.tolist() == np.arange(450).tolist()
