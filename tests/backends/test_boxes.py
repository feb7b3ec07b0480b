from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.backends.boxes import clip, ring_boxes


def _shape(box: Any) -> tuple[int, ...]:
    return tuple(s.stop - s.start for s in box)


_sizes = st.tuples(*[st.integers(1, 9)] * 3)
_starts = st.tuples(*[st.integers(-10, 10)] * 3)


@given(start=_starts, roi=_sizes, size=_sizes)
def test_a_clipped_window_is_all_that_is_inside(start: Any, roi: Any, size: Any) -> None:
    inside = clip(start, roi, size)
    index = np.indices(roi) + np.reshape(start, (3, 1, 1, 1))
    outside = ((index < 0) | (index >= np.reshape(size, (3, 1, 1, 1)))).any(0)
    if inside is None:
        assert outside.all()
    else:
        assert [s.start - a for s, a in zip(inside.grid, start, strict=True)] == [s.start for s in inside.window]
        assert _shape(inside.grid) == _shape(inside.window)
        outside[inside.window] = ~outside[inside.window]
        assert outside.all()


@given(low=_sizes, length=st.tuples(*[st.integers(0, 6)] * 3), extra=st.tuples(*[st.integers(0, 3)] * 3))
def test_ring_boxes_cover_each_voxel_once_at_its_place(low: Any, length: Any, extra: Any) -> None:
    heights = tuple(max(1, n + e) for n, e in zip(length, extra, strict=True))
    box = tuple(slice(a, a + n) for a, n in zip(low, length, strict=True))
    seen = np.zeros((16, 16, 16), int)
    for in_grid, in_ring in ring_boxes(box, heights):
        seen[in_grid] += 1
        assert _shape(in_grid) == _shape(in_ring)
        for g, r, h in zip(in_grid, in_ring, heights, strict=True):
            assert [i % h for i in range(g.start, g.stop)] == list(range(r.start, r.stop))
    expected = np.zeros_like(seen)
    expected[box] = 1
    np.testing.assert_array_equal(seen, expected)


def test_a_box_longer_than_the_ring_is_refused() -> None:
    with pytest.raises(ValueError, match="5 rows on axis 1 does not fit a ring of 4"):
        ring_boxes((slice(0, 1), slice(3, 8), slice(0, 1)), (4, 4, 4))
