"""Outlines contain the centres of exactly the pixels of the mask, and have their area."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from gpu_infer.writers.dicom.contours import trace


def _area(polygon: NDArray[np.float64]) -> float:
    row, column = polygon.T
    return abs(float(row @ np.roll(column, 1) - column @ np.roll(row, 1))) / 2


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8, 0.97])
def test_rasterised_outlines_are_the_mask(density: float) -> None:
    draw = np.random.default_rng(round(100 * density))
    for _ in range(200):
        mask = draw.random(draw.integers(1, 15, 2)) < density
        polygons = trace(mask)
        filled = sum((polygon2mask(mask.shape, polygon).astype(int) for polygon in polygons), np.zeros(mask.shape, int))
        np.testing.assert_array_equal(filled, mask)
        assert sum(map(_area, polygons)) == mask.sum()


def test_a_box_has_four_points() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:5, 3:8] = True
    (polygon,) = trace(mask)
    assert polygon.tolist() == [[1.5, 2.5], [1.5, 7.5], [4.5, 7.5], [4.5, 2.5]]


def test_a_hole_is_joined_by_a_keyhole() -> None:
    mask = np.ones((5, 7), bool)
    mask[2, 3] = False
    (polygon,) = trace(mask)
    assert _area(polygon) == 34
    assert [1.5, -0.5] in polygon.tolist()  # where the channel begins, at the left edge


def test_pixels_that_touch_at_a_corner_are_two_polygons() -> None:
    assert [len(polygon) for polygon in trace(np.eye(2, dtype=bool))] == [4, 4]
    assert [len(polygon) for polygon in trace(np.eye(2, dtype=bool)[::-1])] == [4, 4]


def test_an_empty_mask_has_no_outline() -> None:
    assert trace(np.zeros((3, 3), bool)) == []
