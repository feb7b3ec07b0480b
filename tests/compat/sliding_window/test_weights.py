"""Weighted means: totals of weights have the bits of a sum over all windows, one after the other, in float32."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpu_infer import sliding_window_inference
from gpu_infer.inferers.placement import clara_starts, monai_starts, nnunet_starts

STARTS = {
    "monai": lambda n, r, overlap: monai_starts(n, r, overlap),
    "nnunet": lambda n, r, overlap: nnunet_starts(n, r, 1 - overlap),
    "clara": lambda n, r, overlap: clara_starts(n, r),
}


def in_float32(
    image: NDArray[np.float32],
    weights: NDArray[np.float32],
    axes: list[list[int]],
    scale: int = 1,
    slowest: int | None = None,
) -> NDArray[np.float32]:
    """Σ w·v / Σ w window by window, each operation in float32, for a predictor that repeats each voxel `scale` times.

    `image` [*spatial]; windows are visited along the axis `slowest` last, repeats of a window are multiplied first.
    """
    roi = [n // scale for n in weights.shape]
    before = [max(-starts[0], 0) for starts in axes]
    padded = np.pad(image, [(b, max(r - n - b, 0)) for b, r, n in zip(before, roi, image.shape, strict=True)])
    for axis in range(image.ndim):
        padded = padded.repeat(scale, axis)
    sums, total = np.zeros_like(padded), np.zeros_like(padded)
    windows = list(product(*(sorted(set(starts)) for starts in axes)))
    if slowest is not None:
        windows.sort(key=lambda window: window[slowest])
    for window in windows:
        times = np.float32(np.prod([starts.count(s) for starts, s in zip(axes, window, strict=True)]))
        box = tuple(slice((s + b) * scale, (s + b + r) * scale) for s, b, r in zip(window, before, roi, strict=True))
        with np.errstate(invalid="ignore"):
            sums[box] += (times * weights) * padded[box]
        total[box] += times * weights
    inside = tuple(slice(b * scale, (b + n) * scale) for b, n in zip(before, image.shape, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.float32] = sums[inside] / total[inside]
    return mean


def assert_bits(actual: NDArray[Any], expected: NDArray[np.float32]) -> None:
    """Equal bits; any NaN equals any other."""
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    bits = [np.where(np.isnan(a), 0, a).astype(np.float32).view(np.int32) for a in (actual, expected)]
    np.testing.assert_array_equal(*bits)


def map_of(roi: tuple[int, ...]) -> NDArray[np.float32]:
    """Weights of either sign, zeros among them, and one that is infinite."""
    weights = np.random.default_rng(5).normal(size=roi).astype(np.float32)
    weights[weights > 1] = 0
    weights[(0,) * len(roi)] = np.inf
    return weights


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_any_grid(data: st.DataObject) -> None:
    dims = data.draw(st.integers(1, 4))
    most = (90, 40, 24, 9)[dims - 1]
    size = data.draw(st.tuples(*[st.integers(1, most)] * dims))
    roi = data.draw(st.tuples(*[st.integers(1, 9)] * dims))
    grid = data.draw(st.sampled_from(sorted(STARTS)))
    overlap = data.draw(st.sampled_from([0.0, 0.25, 0.5, 0.6]))
    slowest = data.draw(st.sampled_from([None, *range(dims)]))
    image = np.random.default_rng(0).normal(size=size).astype(np.float32)
    axes = [STARTS[grid](n, r, overlap) for n, r in zip(size, roi, strict=True)]
    options: dict[str, Any] = {} if slowest is None else {"buffer_steps": 2, "buffer_dim": slowest}
    if grid != "clara":
        options["overlap"] = overlap
    expected = in_float32(image, map_of(roi), axes, slowest=slowest)
    actual = sliding_window_inference(
        image[None, None], roi, 3, lambda window: window, roi_weight_map=map_of(roi), grid=grid, **options
    )
    assert_bits(actual[0, 0], expected)


@pytest.mark.parametrize("size", [(50, 33), (9, 41), (26, 15, 19)])
@pytest.mark.parametrize("grid", ["monai", "nnunet"])
def test_outputs_larger_than_the_window(size: tuple[int, ...], grid: str) -> None:
    def enlarged(window: NDArray[Any]) -> NDArray[Any]:
        for axis in range(len(size)):
            window = window.repeat(2, 2 + axis)
        return window

    image = np.random.default_rng(1).normal(size=size).astype(np.float32)
    roi = (10, 8, 6)[: len(size)]
    weights = map_of(roi)
    large = weights
    for axis in range(len(size)):
        large = large.repeat(2, axis)
    actual = sliding_window_inference(image[None, None], roi, 2, enlarged, 0.5, roi_weight_map=weights, grid=grid)
    axes = [STARTS[grid](n, r, 0.5) for n, r in zip(size, roi, strict=True)]
    assert_bits(actual[0, 0], in_float32(image, large, axes, scale=2))


def test_images_and_channels_have_the_same_totals() -> None:
    images = np.random.default_rng(2).normal(size=(2, 3, 40, 30)).astype(np.float32)
    actual = sliding_window_inference(images, (12, 8), 5, lambda window: window, 0.5, roi_weight_map=map_of((12, 8)))
    axes = [monai_starts(40, 12, 0.5), monai_starts(30, 8, 0.5)]
    for image, channel in product(range(2), range(3)):
        assert_bits(actual[image, channel], in_float32(images[image, channel], map_of((12, 8)), axes))


def test_voxels_that_no_window_covers_are_nan() -> None:
    """Outputs of 1 voxel for windows of 3: the grid is rounded down, and a constant weight counts as well."""
    image = np.ones((1, 1, 10), np.float32)
    for options in ({}, {"roi_weight_map": np.ones(3, np.float32)}):
        actual = sliding_window_inference(image, 3, 1, lambda w: w[..., :1], 0.0, **options)  # type: ignore[arg-type]
        assert actual.shape == (1, 1, 3)
        assert (actual == 1).all()
