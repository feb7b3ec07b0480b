"""Mode `nnunet` against nnU-Net's own two functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

from gpu_infer.inferers.importance import nnunet_gaussian
from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.windows import make_grid


def test_starts_of_every_size(equivalence: Any) -> None:
    cases = 0
    for step in (0.5, 0.25, 0.75, 1.0, 0.3):
        mode = window_mode("nnunet", {"step_size": step})
        for roi in (1, 2, 7, 16, 33, 64, 96, 128, 192, 320):
            for size in range(roi, 601, 1 if step == 0.5 else 7):
                expected = compute_steps_for_sliding_window((size,), (roi,), step)[0]
                assert mode.starts(0, size, roi) == expected, (size, roi, step)
                cases += 1
    equivalence.record(
        "nnunetv2 compute_steps_for_sliding_window",
        "mode nnunet",
        tolerance="equal",
        worst=0.0,
        cases=cases,
        differs="An image smaller than the window is padded as windows are read (nnU-Net pads the array before).",
    )


def test_a_grid_of_three_axes() -> None:
    shape, roi = (110, 200, 64), (64, 96, 64)
    grid = make_grid(shape, roi, window_mode("nnunet"))
    assert [list(starts) for starts in grid.axis_starts] == compute_steps_for_sliding_window(shape, roi, 0.5)


def test_gaussian(equivalence: Any) -> None:
    worst, cases = 0.0, 0
    for roi in [(16,), (33,), (8, 12), (31, 16), (16, 16, 16), (20, 33, 7), (64, 64, 32), (1, 5, 9)]:
        for scale in (0.125, 0.25, 0.05):
            expected = compute_gaussian(roi, scale, dtype=torch.float32, device=torch.device("cpu")).numpy()
            actual = nnunet_gaussian(roi, (scale,) * len(roi))
            worst = max(worst, float(np.abs(actual - expected).max()))
            cases += 1
    assert worst <= 1e-6
    equivalence.record(
        "nnunetv2 compute_gaussian",
        "mode nnunet, blend gaussian",
        tolerance="1e-6",
        worst=worst,
        cases=cases,
        differs="Weights are float32; nnU-Net's predictor uses float16, in which small weights are coarse.",
    )
