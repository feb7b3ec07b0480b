"""`SlidingWindowInferer` beside the function that it calls; tests/peers compares it with MONAI's class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_infer import SlidingWindowInferer, sliding_window_inference

IMAGE = np.random.default_rng(5).standard_normal((2, 1, 13, 7, 11)).astype(np.float32)


def network(windows: np.ndarray, factor: float = 1.0, *, grid: float = 0.0) -> np.ndarray:
    return np.concatenate([windows * factor + grid, windows[:, :, ::-1]], axis=1)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sw_batch_size": 3, "overlap": 0.5, "mode": "gaussian", "sigma_scale": 0.2},
        {"overlap": (0.1, 0.5, 0.25), "padding_mode": "reflect"},
        {"cval": -2.0, "cpu_thresh": 5, "cache_roi_weight_map": True},
        {"buffer_steps": 2, "buffer_dim": 1},
    ],
)
def test_values_are_those_of_the_function(settings: dict[str, Any]) -> None:
    actual = SlidingWindowInferer((6, 8, 4), **settings)(IMAGE, network, 2.0)
    known = {key: value for key, value in settings.items() if key not in ("cpu_thresh", "cache_roi_weight_map")}
    known = {"sw_batch_size": 1, **known}
    expected = sliding_window_inference(IMAGE, (6, 8, 4), predictor=lambda windows: network(windows, 2.0), **known)
    np.testing.assert_array_equal(actual, expected)


def test_windows_cover_the_image() -> None:
    actual = SlidingWindowInferer((6, 7, 4), overlap=0.5)(IMAGE, network)
    np.testing.assert_allclose(actual[:, :1], IMAGE, atol=1e-6)


def test_an_argument_named_grid_is_the_networks() -> None:
    actual = SlidingWindowInferer((6, 7, 4))(IMAGE, network, grid=5.0)
    np.testing.assert_allclose(actual[:, :1], IMAGE + 5.0, atol=1e-5)


def test_a_condition_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="`condition` must match shape of `inputs`"):
        SlidingWindowInferer((6, 7, 4))(IMAGE, network, condition=np.zeros((1, 1, 2, 2, 2)))
