"""Importance maps of one call do not change those of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_infer import sliding_window_inference
from gpu_infer.compat.sliding_window import importance
from gpu_infer.compat.sliding_window.importance import gaussian_map
from gpu_infer.inferers.importance import monai_gaussian, nnunet_gaussian

ROI = (4, 5, 6)
SCALE = (0.125, 0.25, 0.5)
VOLUME = np.random.default_rng(3).random((1, 1, 9, 11, 13), dtype=np.float32)


def ramp(windows: Any) -> Any:
    return windows * np.arange(1, ROI[-1] + 1, dtype=np.float32)


@pytest.mark.parametrize("shared", [True, False])
def test_each_setting_has_its_own_map(shared: bool) -> None:
    for _ in range(2):
        for grid, function in (("monai", monai_gaussian), ("nnunet", nnunet_gaussian)):
            for roi in (ROI, ROI[::-1], (7, 8)):
                for scale in (SCALE[: len(roi)], SCALE[: len(roi)][::-1]):
                    actual = gaussian_map(grid, roi, scale, shared=shared)
                    np.testing.assert_array_equal(actual, function(roi, scale))


def test_a_map_stays_in_memory_and_is_read_only() -> None:
    first = gaussian_map("monai", ROI, SCALE, shared=True)
    assert gaussian_map("monai", ROI, SCALE, shared=True) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_a_large_map_does_not_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "MOST_KEPT", 4 * 4 * 5 * 6 - 1)
    first = gaussian_map("monai", ROI, SCALE, shared=True)
    assert gaussian_map("monai", ROI, SCALE, shared=True) is not first


def test_process_fn_that_writes_into_the_weights_changes_its_own_call_only() -> None:
    def write(outputs: Any, window: Any, weights: Any) -> Any:
        weights[:2] = 0.5
        return outputs, weights

    expected = sliding_window_inference(VOLUME, ROI, 2, ramp, 0.5, "gaussian")
    changed = sliding_window_inference(VOLUME, ROI, 2, ramp, 0.5, "gaussian", process_fn=write)
    assert not np.array_equal(changed, expected)
    np.testing.assert_array_equal(sliding_window_inference(VOLUME, ROI, 2, ramp, 0.5, "gaussian"), expected)
