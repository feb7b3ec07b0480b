"""One plane of the preview: resampling, outlines and colours, against SciPy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from gpu_infer.label_table.palette import PALETTE, palette_colour
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.writers.raster import draw_plane, resample

TABLE = LabelTable()


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 2**32 - 1),
)
def test_resampling_is_linear_between_pixel_centres(shape: tuple[int, int], out: tuple[int, int], seed: int) -> None:
    plane = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    at = [np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1) for n, m in zip(shape, out, strict=True)]
    expected = ndimage.map_coordinates(plane, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")
    np.testing.assert_allclose(sitk.GetArrayFromImage(resample(plane, out)), expected, atol=1e-5)


def test_label_outlines_are_smooth_and_labels_exact() -> None:
    plane = np.array([[0, 0], [0, 5]], np.uint32)
    same = sitk.GetArrayFromImage(resample(plane, (2, 2), sitk.sitkLabelLinear))
    np.testing.assert_array_equal(same, plane)
    fine = sitk.GetArrayFromImage(resample(plane, (40, 40), sitk.sitkLabelLinear))
    assert set(np.unique(fine)) == {0, 5}
    assert fine[39, 39] == 5
    # Halfway between four centres a quarter of the mask is 5: the corner is cut, not stepped.
    assert fine[20, 20] == 0


def test_the_outline_is_inside_the_label_and_two_pixels_wide() -> None:
    labels = np.zeros((24, 24), np.uint8)
    labels[6:16, 4:20] = 1
    rgb = draw_plane(np.zeros((24, 24), np.float32), labels, (24, 24), TABLE)
    is_edge = (rgb == PALETTE[0]).all(axis=2)
    is_label = labels == 1
    # Corners of a label are cut, at most by the half pixel that is averaged away.
    expected = is_label & ~ndimage.binary_erosion(is_label, iterations=2)
    corners = np.zeros(labels.shape, bool)
    corners[np.ix_([6, 15], [4, 19])] = True
    np.testing.assert_array_equal(is_edge & ~corners, expected & ~corners)
    assert not rgb[~is_label].any()
    tint = np.round(np.array(PALETTE[0]) * 0.13)
    np.testing.assert_allclose(rgb[10, 10], tint, atol=1)


def test_the_edge_of_the_picture_is_no_outline() -> None:
    rgb = draw_plane(np.zeros((9, 9), np.float32), np.ones((9, 9), np.uint8), (9, 9), TABLE)
    assert (rgb == rgb[0, 0]).all()
    np.testing.assert_allclose(rgb[0, 0], np.array(PALETTE[0]) * 0.13, atol=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32])
def test_every_label_has_its_colour(dtype: type) -> None:
    """Also labels of equal colour are separated by outlines."""
    numbers = [1, 2, 10, 11, 12, 101] if dtype != np.uint32 else [1, 2, 10, 11, 2**31 + 5, 2**32 - 1]
    labels = np.repeat(np.array(numbers, np.int64), 12)[None].repeat(20, axis=0).astype(dtype)
    rgb = draw_plane(np.zeros(labels.shape, np.float32), labels, labels.shape, TABLE)
    for n, number in enumerate(numbers):
        colour = np.array(palette_colour(number))
        np.testing.assert_allclose(rgb[10, 12 * n + 6], colour * 0.13, atol=1)
        if n:
            np.testing.assert_array_equal(rgb[10, 12 * n + 1], colour)
    assert not (rgb == 0).all(axis=2).any()


def test_grey_is_rounded_and_clipped() -> None:
    grey = np.array([[-1e9, -1, 0, 1.4, 1.6, 254.4, 256, 1e9]], np.float32)
    rgb = draw_plane(grey, np.zeros(grey.shape, np.uint8), grey.shape, TABLE)
    flat = draw_plane(np.full((4, 4), 127.5, np.float32), np.zeros((4, 4), np.uint8), (4, 4), TABLE)
    assert (flat == 128).all()
    assert rgb[0, 0].tolist() == [0, 0, 0]
    assert rgb[0, -1].tolist() == [255, 255, 255]


def test_colours_are_those_of_the_table() -> None:
    table = LabelTable({1: Label(1, "lung", (10, 200, 30))})
    rgb = draw_plane(np.zeros((9, 9), np.float32), np.pad(np.ones((5, 5), np.uint8), 2), (9, 9), table)
    assert (10, 200, 30) in {tuple(pixel) for pixel in rgb.reshape(-1, 3).tolist()}
