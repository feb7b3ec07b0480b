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
