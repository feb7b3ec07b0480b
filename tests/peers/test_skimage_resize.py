"""Our resampling with `anti_aliasing` against scikit-image's resize."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from peers_ours import prepared
from skimage.transform import resize

DATA = np.random.default_rng(19).integers(-1200, 1500, (33, 24, 19)).astype(np.int16)
TARGETS = ((11, 9, 5), (2, 24, 7), (40, 6, 19), (1, 1, 1))
TOLERANCE = 2.7e-2


def difference(interpolation: str, target: tuple[int, ...], sigma: Any = None) -> float:
    """The largest difference of one comparison, in HU."""
    options: dict[str, Any] = {"mode": "edge", "preserve_range": True, "clip": interpolation == "cubic"}
    args: dict[str, Any] = {"target_shape": list(target), "interpolation": interpolation, "align_corners": False}
    args |= {"anti_aliasing": True, "clip": options["clip"]}
    if sigma is not None:
        args["anti_aliasing_sigma"] = sigma
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Anti-aliasing standard deviation greater than zero")
        order = 3 if interpolation == "cubic" else 1
        expected = resize(
            DATA.astype(np.float64), target, order=order, anti_aliasing=True, anti_aliasing_sigma=sigma, **options
        )
    return float(np.abs(prepared(DATA, ("ScaleToShape", args))[0] - expected).max())


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("sigma", [None, 1.25, [0.5, 3.0, 0.0]])
def test_resize_with_anti_aliasing(interpolation: str, sigma: Any, equivalence: Any) -> None:
    worst = max(difference(interpolation, target, sigma) for target in TARGETS)
    assert worst <= TOLERANCE
    equivalence.record(
        f"skimage.transform.resize(order={3 if interpolation == 'cubic' else 1}, mode='edge', anti_aliasing=True)",
        f'ScaleToShape and other resamplings with "anti_aliasing", {interpolation}, align_corners false',
        tolerance="2.7e-2 HU on a range of 2700",
        worst=worst,
        cases=len(TARGETS),
        differs="scikit-image repeats the outermost voxels only with mode='edge'; its default is 'reflect'.",
    )
