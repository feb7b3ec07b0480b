"""Values and refusals of the transforms that filter intensities, or equalise their histogram."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import ValidationError
from scipy import ndimage
from skimage import exposure
from transforms_checks_intensity import TWO
from transforms_oracle import RNG, STORED, load, prepared, transform

from gpu_infer.errors import InputError


def check_histogram_normalize() -> None:
    def equalised(x: np.ndarray, bins: int, low: float, high: float) -> np.ndarray:
        counts, edges = np.histogram(x.astype(np.float32), bins)
        share = np.cumsum(counts).astype(np.float64)
        share = (share - share[0]) / (share[-1] - share[0]) * (high - low) + low
        return np.interp(x, (edges[:-1] + edges[1:]) / 2, share)

    for args, want in (
        ({}, equalised(TWO, 256, 0, 255)),
        ({"num_bins": 20, "min": -1, "max": 1}, equalised(TWO, 20, -1, 1)),
        ({"num_bins": 2, "min": 3, "max": -4.5}, equalised(TWO, 2, 3, -4.5)),
    ):
        normalize = transform("HistogramNormalize", fields="image", **args)
        assert_allclose(prepared(load(), normalize, data=TWO), want, atol=1e-4, err_msg=str(args))
    normalize = transform("HistogramNormalize", fields="image")
    flat = prepared(load(), normalize, data=np.full_like(STORED, 7))
    assert_allclose(flat[0], equalised(np.full_like(STORED, 7), 256, 0, 255))
    for value, message in ((np.nan, "NaN or infinite, .* the histogram of"), (-np.inf, "NaN or infinite")):
        data = STORED.astype(np.float32)
        data[1, 2, 3] = value
        with pytest.raises(InputError, match=f"HistogramNormalize: 'image' has voxels that are {message}"):
            prepared(load(), normalize, data=data)
    with pytest.raises(InputError, match=r"from 1e\+09 to 1e\+09, expected a range that 256 bins of float32 divide"):
        prepared(load(), normalize, data=np.full(STORED.shape, 1e9, np.float32))
    for args, message in (({"num_bins": 2049}, "expected 2 to 2048 bins"), ({"mask": [1]}, '"mask" is not supported')):
        with pytest.raises(ValidationError, match=message):
            transform("HistogramNormalize", fields="image", **args)


def check_equalize_adapthist() -> None:
    data = (RNG.random((2, 17, 12, 9)) ** 2).astype(np.float32)
    for args, kernel in (({}, (2, 1, 1)), ({"kernel_size": [5, 4, 3], "clip_limit": 0.05, "nbins": 100}, (5, 4, 3))):
        equalize = transform("EqualizeAdapthist", fields="image", **args)
        rest = {"clip_limit": 0.01, "nbins": 256} | {k: v for k, v in args.items() if k != "kernel_size"}
        want = [exposure.equalize_adapthist(channel, kernel_size=kernel, **rest) for channel in data]
        assert_allclose(prepared(load(), equalize, data=data), np.stack(want), atol=1e-6)
    equalize = transform("EqualizeAdapthist", fields="image")
    for low, high in ((-1.5, 0), (0, 1.01)):
        wide = np.linspace(low, high, data.size, dtype=np.float32).reshape(data.shape)
        with pytest.raises(InputError, match=r"EqualizeAdapthist: 'image' has values from .*, expected −1 to 1"):
            prepared(load(), equalize, data=wide)
    with pytest.raises(InputError, match=r"kernel_size 18×1×1 is larger than the grid 17×12×9 of 'image'"):
        prepared(load(), transform("EqualizeAdapthist", fields="image", kernel_size=[18, 1, 1]), data=data)
    data[1, 2, 3, 1] = np.nan
    with pytest.raises(InputError, match="EqualizeAdapthist: 'image' has voxels that are NaN or infinite"):
        prepared(load(), equalize, data=data)
    for args, message in (({"clip_limit": 0}, "above 0 and up to 1"), ({"nbins": 1}, "expected 2 to 16384 bins")):
        with pytest.raises(ValidationError, match=message):
            transform("EqualizeAdapthist", fields="image", **args)


def check_gaussian_smooth() -> None:
    for sigma in (1.5, [0.5, 1.0, 2.5]):
        smooth = transform("GaussianSmooth", fields="image", sigma=sigma)
        want = ndimage.gaussian_filter(STORED.astype(np.float64), sigma, mode="nearest", truncate=4.0)
        assert_allclose(prepared(load(), smooth)[0], want, atol=1e-6 * np.ptp(STORED) + 1e-3)
    for wrong in (np.nan, np.inf):
        data = STORED.astype(np.float32)
        data[1, 2, 3] = wrong
        with pytest.raises(InputError, match="GaussianSmooth: 'image' has voxels that are NaN or infinite"):
            prepared(load(), smooth, data=data)


def check_median_smooth() -> None:
    data = np.stack([STORED, STORED[::-1] // 3])
    for radius, window in ((1, (3, 3, 3)), ([2, 0, 1], (5, 1, 3)), (0, (1, 1, 1))):
        smooth = transform("MedianSmooth", fields="image", radius=radius)
        want = [ndimage.median_filter(channel, footprint=np.ones(window), mode="nearest") for channel in data]
        assert_allclose(prepared(load(), smooth, data=data), np.stack(want), atol=0)
    for wrong in (np.nan, np.inf):
        holed = data.astype(np.float32)
        holed[1, 2, 3, 1] = wrong
        with pytest.raises(InputError, match="MedianSmooth: 'image' has voxels that are NaN or infinite"):
            prepared(load(), smooth, data=holed)
    for radius, message in (
        (1.5, "expected a whole number of at least 0, or 3 of them"),
        ([1, 2], "expected a whole number of at least 0, or 3 of them"),
        ([5, 2, 1], "at most 161 voxels, found 11×5×3 = 165"),
    ):
        with pytest.raises(ValidationError, match=message):
            transform("MedianSmooth", fields="image", radius=radius)


VALUES: dict[str, Callable[[], None]] = {
    "HistogramNormalize": check_histogram_normalize,
    "EqualizeAdapthist": check_equalize_adapthist,
    "GaussianSmooth": check_gaussian_smooth,
    "MedianSmooth": check_median_smooth,
}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "HistogramNormalize": ({"fields": "image", "num_bins": 1}, "expected 2 to 2048 bins"),
    "EqualizeAdapthist": ({"fields": "image", "kernel_size": 0}, "expected a whole number of at least 1, or 3 of them"),
    "GaussianSmooth": ({"fields": "image", "sigma": [1, 2]}, "expected a positive number, or 3 of them"),
    "MedianSmooth": ({"fields": "image", "radius": -1}, "expected a whole number of at least 0, or 3 of them"),
}
