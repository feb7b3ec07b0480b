"""`gpu_infer.zoom` in SciPy's own tests of zoom, and against SciPy's zoom on drawn cases; cubic resampling, too."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers_ours import prepared
from peers_suites import run_suite
from scipy import ndimage

import gpu_infer

MODES = ("reflect", "grid-mirror", "constant", "grid-constant", "nearest", "mirror", "wrap", "grid-wrap")
TOLERANCE = 1e-5
PEER, OURS = "scipy.ndimage.zoom", "gpu_infer.zoom"
DIFFERS = (
    "Orders 2 to 5 are refused. float32 results are computed in float32. "
    "An infinite or NaN sample of weight 0 does not affect the result."
)


def test_scipys_own_tests(tmp_path: Path, equivalence: Any) -> None:
    if find_spec("scipy.ndimage.tests") is None:
        pytest.skip("this SciPy was installed without its tests")
    tests = ["--pyargs", "scipy.ndimage.tests.test_interpolation", "-k", "zoom"]
    suite = run_suite("scipy_zoom_routed", tests, tmp_path, tmp_path)
    assert not suite.failed, suite.output[-4000:]
    assert suite.passed > 20
    assert suite.ours > 20
    equivalence.record(
        f"{PEER}: SciPy's own tests",
        f"{OURS}, orders 0 and 1",
        tolerance=f"all {suite.passed} pass",
        cases=suite.passed,
    )


@pytest.mark.parametrize("grid_mode", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [0, 1])
def test_drawn_cases(order: int, mode: str, grid_mode: bool, equivalence: Any) -> None:
    rng = np.random.default_rng([order, MODES.index(mode), grid_mode])
    worst, cases = 0.0, 30
    for _ in range(cases):
        shape = tuple(int(n) for n in rng.integers(1, 14, rng.integers(1, 5)))
        factors = [float(f) for f in rng.uniform(0.3, 3.0, len(shape))]
        x = rng.normal(size=shape).astype(rng.choice([np.float32, np.float64]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = ndimage.zoom(x, factors, order=order, mode=mode, cval=0.5, grid_mode=grid_mode)
            actual = gpu_infer.zoom(x, factors, order=order, mode=mode, cval=0.5, grid_mode=grid_mode)
        assert actual.shape == expected.shape
        assert actual.dtype == expected.dtype
        if actual.size:
            worst = max(worst, float(np.abs(actual - expected).max()))
    assert worst <= TOLERANCE
    equivalence.record(PEER, f"{OURS}, orders 0 and 1", tolerance="1e-5", worst=worst, cases=cases, differs=DIFFERS)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("align_corners", [True, False])
def test_cubic_resampling(align_corners: bool, clip: bool, equivalence: Any) -> None:
    rng = np.random.default_rng([7, align_corners, clip])
    worst, cases = 0.0, 12
    for _ in range(cases):
        shape, target = rng.integers(2, 40, 3), [int(n) for n in rng.integers(2, 60, 3)]
        data = rng.integers(-1200, 1500, shape).astype(np.int16)
        factors = [m / n for m, n in zip(target, shape, strict=True)]
        expected = ndimage.zoom(data.astype(np.float64), factors, order=3, mode="nearest", grid_mode=not align_corners)
        if clip:
            expected = expected.clip(data.min(), data.max())
        args = {"target_shape": target, "interpolation": "cubic", "align_corners": align_corners, "clip": clip}
        difference = np.abs(prepared(data, ("ScaleToShape", args))[0] - expected).max()
        worst = max(worst, float(difference) / float(np.ptp(data)))
    assert worst <= TOLERANCE
    equivalence.record(
        f"{PEER}(order=3, mode='nearest')",
        'ScaleToShape and other resamplings, "cubic"',
        tolerance="1e-5 of the range",
        worst=worst,
        cases=cases,
        differs="grid_mode is align_corners false. SciPy has no clip; the test clips its result to the input's range.",
    )
