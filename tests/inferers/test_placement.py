"""Window starts of `monai` and `nnunet` against their definitions written out step by step."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.inferers.placement import monai_starts, nnunet_starts

_sizes = st.integers(1, 300)
_rois = st.integers(1, 120)


def monai_by_the_text(size: int, roi: int, overlap: float) -> list[int]:
    """Pad half before, count windows until one reaches the end, move that one back; in voxels of the unpadded axis."""
    padded = max(size, roi)
    before = max(roi - size, 0) // 2
    interval = roi if roi == padded else max(int(roi * (1 - overlap)), 1)
    starts = []
    for n in range(math.ceil(padded / interval)):
        start = n * interval
        reaches = start + roi >= padded
        starts.append(start - max(start + roi - padded, 0) - before)
        if reaches:
            break
    return starts


def nnunet_by_the_text(size: int, roi: int, step: float) -> list[int]:
    before = max(roi - size, 0) // 2
    padded = max(size, roi)
    steps = int(np.ceil((padded - roi) / (roi * step))) + 1
    width = (padded - roi) / (steps - 1) if steps > 1 else 0.0
    return [int(np.round(width * i)) - before for i in range(steps)]


@given(size=_sizes, roi=_rois, overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.9, 0.99]))
def test_monai(size: int, roi: int, overlap: float) -> None:
    starts = monai_starts(size, roi, overlap)
    assert starts == monai_by_the_text(size, roi, overlap)
    assert len(set(starts)) == len(starts)


@given(size=_sizes, roi=_rois, step=st.sampled_from([0.1, 0.25, 0.3, 0.5, 2 / 3, 0.75, 1.0]))
def test_nnunet(size: int, roi: int, step: float) -> None:
    assert nnunet_starts(size, roi, step) == nnunet_by_the_text(size, roi, step)


@given(size=_sizes, roi=_rois, overlap=st.floats(0, 0.99))
def test_both_cover_every_voxel_and_end_with_the_axis(size: int, roi: int, overlap: float) -> None:
    for starts in (monai_starts(size, roi, overlap), nnunet_starts(size, roi, 1 - overlap)):
        assert starts == sorted(starts)
        assert all(b - a <= roi for a, b in pairwise(starts))
        assert starts[0] <= 0
        assert starts[-1] + roi >= size
        if size >= roi:
            assert (starts[0], starts[-1] + roi) == (0, size)


@pytest.mark.parametrize(
    ("size", "roi", "overlap", "starts"),
    [
        (10, 4, 0.25, [0, 3, 6]),
        (11, 4, 0.25, [0, 3, 6, 7]),
        (3, 8, 0.25, [-2]),
        (4, 8, 0.5, [-2]),
        (5, 1, 0.9, [0, 1, 2, 3, 4]),
    ],
)
def test_monai_by_hand(size: int, roi: int, overlap: float, starts: list[int]) -> None:
    assert monai_starts(size, roi, overlap) == starts


@pytest.mark.parametrize(
    ("size", "roi", "starts"),
    [(110, 64, [0, 23, 46]), (64, 64, [0]), (65, 64, [0, 1]), (61, 64, [-1]), (128, 64, [0, 32, 64])],
)
def test_nnunet_by_hand(size: int, roi: int, starts: list[int]) -> None:
    assert nnunet_starts(size, roi, 0.5) == starts
