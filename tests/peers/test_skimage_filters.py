"""Our filters of whole channels, and our morphology, against scikit-image's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from peers_ours import finished, prepared
from skimage import exposure, filters, morphology


@pytest.mark.parametrize("sigma", [1.5, (0.5, 1.0, 2.5)])
def test_gaussian(sigma: Any, equivalence: Any) -> None:
    data = np.random.default_rng(3).normal(40, 300, (2, 14, 11, 9)).astype(np.float32)
    expected = np.stack([filters.gaussian(channel, sigma, preserve_range=True) for channel in data])
    worst = float(np.abs(prepared(data, ("GaussianSmooth", {"sigma": sigma})) - expected).max())
    assert worst <= 1e-5
    equivalence.record("skimage.filters.gaussian", "GaussianSmooth", tolerance="1e-5", worst=worst)


@pytest.mark.parametrize("kernel", [None, (6, 4, 3)])
def test_equalize_adapthist(kernel: Any, equivalence: Any) -> None:
    data = np.random.default_rng(4).random((2, 26, 19, 16), dtype=np.float32) ** 2
    expected = np.stack([exposure.equalize_adapthist(channel, kernel, clip_limit=0.03) for channel in data])
    arguments = {"clip_limit": 0.03} | ({} if kernel is None else {"kernel_size": list(kernel)})
    worst = float(np.abs(prepared(data, ("EqualizeAdapthist", arguments)) - expected).max())
    assert worst <= 1e-6
    equivalence.record(
        "skimage.exposure.equalize_adapthist",
        "EqualizeAdapthist",
        tolerance="1e-6",
        worst=worst,
        differs="A last axis of 3 or 4 voxels is no colour, and a region larger than the grid is refused.",
    )


@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize(
    ("operation", "function"),
    [
        ("open", morphology.opening),
        ("close", morphology.closing),
        ("dilate", morphology.dilation),
        ("erode", morphology.erosion),
    ],
    ids=["open", "close", "dilate", "erode"],
)
def test_binary_morphology(operation: str, function: Any, radius: int, equivalence: Any) -> None:
    noise = filters.gaussian(np.random.default_rng(6).normal(size=(24, 19, 15)), 1.0)
    mask = (noise > 0.02).astype(np.uint8)
    expected = function(mask, morphology.ball(radius), mode="ignore")
    actual = finished(mask, [], None, ("BinaryMorphology", {"operation": operation, "radius": radius}))
    assert np.array_equal(actual, expected)
    equivalence.record(
        "skimage.morphology: opening, closing, dilation, erosion (ball, mode='ignore')",
        "BinaryMorphology",
        tolerance="equal",
        worst=0.0,
        differs="Several labels take turns from the lowest to the highest, and grow into the background alone.",
    )
