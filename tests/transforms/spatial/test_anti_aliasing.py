"""Resampling after a Gaussian, against scikit-image's resize with `anti_aliasing`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from skimage.transform import resize
from transforms_oracle import ARGMAX, ORIENTATIONS, affine_of, load, prepared, transform, zoom

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.pipeline import Pipeline

RNG = np.random.default_rng(11)
CT = RNG.integers(-1000, 1000, (41, 26, 17)).astype(np.int16)
TOLERANCE = 1e-5 * 2000
ORDERS = {"linear": 1, "cubic": 3}


def scaled(data: np.ndarray, target: Any, affine: Any = None, **args: Any) -> np.ndarray:
    step = transform("ScaleToShape", fields="image", target_shape=list(target), anti_aliasing=True, **args)
    return prepared(load(), step, data=data, affine=affine)


def resized(data: np.ndarray, target: Any, order: int, sigma: Any = None, clip: bool = False) -> np.ndarray:
    """[X, Y, Z] by scikit-image."""
    options = {"mode": "edge", "preserve_range": True, "anti_aliasing": True, "anti_aliasing_sigma": sigma}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Anti-aliasing standard deviation greater than zero")
        return resize(data.astype(np.float64), target, order=order, clip=clip, **options)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("target", [(9, 13, 5), (41, 5, 30), (2, 26, 1), (60, 11, 17), (1, 1, 1), (50, 30, 20)])
def test_values_are_scikit_images(target: Any, interpolation: str) -> None:
    result = scaled(CT, target, interpolation=interpolation, align_corners=False)
    assert_allclose(result[0], resized(CT, target, ORDERS[interpolation]), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("sigma", [1.5, [0.0, 2.25, 0.4], [30, 0, 0]])
@pytest.mark.parametrize("target", [(9, 30, 5), (41, 26, 17)])
def test_a_given_deviation_smooths_every_axis(target: Any, sigma: Any, interpolation: str) -> None:
    result = scaled(CT, target, interpolation=interpolation, align_corners=False, anti_aliasing_sigma=sigma)
    assert_allclose(result[0], resized(CT, target, ORDERS[interpolation], sigma), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("orientation", range(1, 48, 9))
def test_any_orientation(orientation: int) -> None:
    affine = affine_of(*ORIENTATIONS[orientation])
    loaded = prepared(load(), affine=affine, data=CT)[0]
    result = scaled(CT, (10, 11, 6), affine, interpolation="cubic", align_corners=False)
    assert_allclose(result[0], resized(loaded, (10, 11, 6), 3), rtol=0, atol=TOLERANCE)


def test_clip_limits_to_the_range_before_the_gaussian() -> None:
    steps = np.where(np.arange(41)[:, None, None] < 20, -500, 700) * np.ones(CT.shape, np.int16)
    result = scaled(steps.astype(np.int16), (60, 9, 5), interpolation="cubic", align_corners=False, clip=True)
    assert result.min() == -500
    assert result.max() == 700
    assert_allclose(result[0], resized(steps, (60, 9, 5), 3, clip=True), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_aligned_corners_take_the_same_deviation(interpolation: str) -> None:
    sigma = [(n / m - 1) / 2 for n, m in zip(CT.shape, (9, 13, 5), strict=True)]
    smooth = ndimage.gaussian_filter(CT.astype(np.float64), sigma, mode="nearest")
    expected = zoom(smooth[None], (9, 13, 5), ORDERS[interpolation])
    assert_allclose(scaled(CT, (9, 13, 5), interpolation=interpolation), expected, rtol=0, atol=TOLERANCE)


def test_monais_placement_takes_the_deviation_of_the_sizes() -> None:
    affine = np.diag([0.7, 0.9, 2.5, 1.0])
    args = {"fields": "image", "target_spacing": [1.6, 2.1, 2.5], "placement": "monai", "anti_aliasing": True}
    shape = (18, 12, 17)  # round(40 · 0.7 / 1.6 + 1): 18.5, halves to even
    sigma = [(n / m - 1) / 2 for n, m in zip(CT.shape, shape, strict=True)]
    smooth = ndimage.gaussian_filter(CT.astype(np.float64), sigma, mode="nearest")
    steps = (1.6 / 0.7, 2.1 / 0.9, 1.0)
    grid = np.meshgrid(*(np.arange(m) * s for m, s in zip(shape, steps, strict=True)), indexing="ij")
    result = prepared(load(), transform("ScaleBySpacing", **args), affine=affine, data=CT)
    assert_allclose(result[0], ndimage.map_coordinates(smooth, grid, order=1, mode="nearest"), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_no_axis_that_shrinks_by_a_quarter_is_the_plain_resampling(interpolation: str) -> None:
    """A Gaussian of less than 1/8 of a sample reads one sample."""
    args = {"fields": "image", "target_shape": [34, 30, 17], "interpolation": interpolation}
    plain = prepared(load(), transform("ScaleToShape", **args), data=CT)
    assert_array_equal(scaled(CT, (34, 30, 17), interpolation=interpolation), plain)


def test_functions_and_crops_join_the_pass() -> None:
    chain = [
        load(),
        transform("CropFixedSizeCenter", fields="image", size=[31, 22, 15]),
        transform("ScaleIntensityRange", fields="image", a_min=-900, a_max=800, b_min=0, b_max=1, clip=True),
        transform("ScaleToShape", fields="image", target_shape=[12, 8, 7], anti_aliasing=True, align_corners=False),
        transform("CropFixedSizeCenter", fields="image", size=[6, 6, 6]),
    ]
    assert len(Pipeline(chain, ARGMAX).pre_stages) == 1
    window = np.clip((CT[5:36, 2:24, 1:16] + 900.0) / 1700.0, 0, 1)
    expected = resized(window, (12, 8, 7), 1)[3:9, 1:7, :6]
    assert_allclose(prepared(*chain, data=CT)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"is_label": True, "anti_aliasing": True}, 'found "nearest" of labels: leave it out, or set "interpolation"'),
        ({"interpolation": "nearest", "anti_aliasing": True}, 'found "nearest": leave it out'),
        ({"interpolation": ["linear", "cubic", "nearest"], "anti_aliasing": True}, 'found "nearest": leave it out'),
        ({"anti_aliasing_sigma": 1}, '"anti_aliasing_sigma" needs "anti_aliasing": set it to true'),
        ({"anti_aliasing": True, "anti_aliasing_sigma": -1}, "expected a number of 0 to 32, or 3 of them"),
        ({"anti_aliasing": True, "anti_aliasing_sigma": [1, 33, 1]}, "expected a number of 0 to 32, or 3 of them"),
        ({"anti_aliasing": True, "anti_aliasing_sigma": [1, 1]}, "expected a number of 0 to 32, or 3 of them"),
        ({"anti_aliasing": 2}, "expected true or false"),
    ],
)
def test_refusals(args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transform("ScaleToShape", fields="image", target_shape=[4, 4, 4], **args)


def test_label_ids_are_not_smoothed() -> None:
    step = transform("ScaleByFactor", fields="model", factor=0.5, interpolation="linear", anti_aliasing=True)
    with pytest.raises(ConfigError, match="would mix the label ids of 'model'"):
        Pipeline([load()], [*ARGMAX, step])
