"""Our filters of whole channels against MONAI's."""

from __future__ import annotations

from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from peers_ours import prepared


@pytest.mark.parametrize("radius", [1, 2, [2, 0, 1], [0, 3, 1]])
def test_median_smooth(radius: Any, equivalence: Any) -> None:
    data = np.random.default_rng(3).normal(40, 300, (2, 14, 11, 9)).astype(np.float32)
    expected = mt.MedianSmooth(radius)(torch.from_numpy(data)).numpy()
    assert np.array_equal(prepared(data, ("MedianSmooth", {"radius": radius})), expected)
    equivalence.record(
        "monai.transforms.MedianSmooth",
        "MedianSmooth",
        tolerance="equal",
        worst=0.0,
        differs="NaN voxels and windows of more than 161 voxels are refused.",
    )


@pytest.mark.parametrize("args", [{}, {"num_bins": 40, "min": -1, "max": 1}, {"num_bins": 2048, "min": 5, "max": 0}])
@pytest.mark.parametrize("kind", ["noise", "steps", "flat"])
def test_histogram_normalize(args: dict[str, Any], kind: str, equivalence: Any) -> None:
    data = np.random.default_rng(4).normal(40, 300, (2, 14, 11, 9)).astype(np.float32)
    if kind == "steps":
        data = np.round(data / 50) * 50
    elif kind == "flat":
        data[...] = 7
    expected = mt.HistogramNormalize(**args)(torch.from_numpy(data)).numpy()
    worst = float(np.abs(prepared(data, ("HistogramNormalize", args)) - expected).max())
    assert worst <= 1e-5
    equivalence.record(
        "monai.transforms.HistogramNormalize",
        "HistogramNormalize",
        tolerance="1e-5",
        worst=worst,
        differs="NaN voxels, masks and more than 2048 bins are refused.",
    )


def test_gaussian_smooth(equivalence: Any) -> None:
    """MONAI's sampled kernel, at voxels that the padding with 0 does not reach."""
    data = np.random.default_rng(3).normal(40, 300, (2, 24, 23, 22)).astype(np.float32)
    expected = mt.GaussianSmooth(1.5, approx="sampled")(torch.from_numpy(data)).numpy()
    inner = (slice(None), *(slice(6, -6),) * 3)
    worst = float(np.abs(prepared(data, ("GaussianSmooth", {"sigma": 1.5})) - expected)[inner].max())
    assert worst <= 1e-2
    equivalence.record(
        "monai.transforms.GaussianSmooth",
        "GaussianSmooth",
        tolerance="1e-2 HU",
        worst=worst,
        differs='With approx="sampled", 4 deviations from the faces: MONAI pads with 0, weights that sum to under 1.',
    )
