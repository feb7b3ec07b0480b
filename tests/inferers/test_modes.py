"""Settings of the modes: defaults, which mode takes which, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.inferers.importance import monai_gaussian, nnunet_gaussian
from gpu_infer.inferers.modes import WindowMode, window_mode
from gpu_infer.inferers.windows import make_grid


def test_defaults() -> None:
    assert window_mode("clara") == WindowMode("clara")
    assert window_mode("monai", {"overlap": None}) == WindowMode("monai", blend="constant")
    assert window_mode("nnunet") == WindowMode("nnunet", step_size=0.5, blend="gaussian")


def test_importance_follows_the_mode() -> None:
    roi, scale = (6, 5, 8), (0.125, 0.125, 0.125)
    assert window_mode("clara").importance(roi) is None
    assert window_mode("monai").importance(roi) is None
    assert window_mode("nnunet", {"blend": "constant"}).importance(roi) is None
    importance = window_mode("monai", {"blend": "gaussian"}).importance(roi)
    np.testing.assert_array_equal(importance, monai_gaussian(roi, scale))
    np.testing.assert_array_equal(window_mode("nnunet").importance(roi), nnunet_gaussian(roi, scale))


def test_mirrors_are_all_combinations_in_a_fixed_order() -> None:
    mode = window_mode("nnunet", {"mirror_axes": (0, 2)})
    assert mode.mirrors == ((), (0,), (2,), (0, 2))
    assert len(window_mode("nnunet", {"mirror_axes": (0, 1, 2)}).mirrors) == 8
    grid = make_grid((8, 8, 12), (8, 8, 8), mode)
    assert [(w.start, w.mirror) for w in grid.visits] == [
        ((0, 0, z), mirror) for z in (0, 4) for mirror in mode.mirrors
    ]


def test_grids_of_the_modes() -> None:
    assert make_grid((10, 11, 3), (4, 4, 8), window_mode("monai")).axis_starts == ((0, 3, 6), (0, 3, 6, 7), (-2,))
    assert make_grid((110, 64, 61), (64, 64, 64), window_mode("nnunet")).axis_starts == ((0, 23, 46), (0,), (-1,))
    per_axis = window_mode("monai", {"overlap": (0.0, 0.5, 0.75)})
    assert make_grid((8, 8, 8), (4, 4, 4), per_axis).axis_starts == ((0, 4), (0, 2, 4), (0, 1, 2, 3, 4))


def test_settings_for_the_report_are_those_of_the_mode() -> None:
    assert window_mode("clara").settings == {"cval": 0.0}
    assert window_mode("monai").settings == {
        "overlap": (0.25,) * 3, "blend": "constant", "sigma_scale": (0.125,) * 3, "padding_mode": "constant",
        "cval": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("swin", {}, r"mode 'swin' does not exist \(modes that exist: clara, monai, nnunet\)"),
        ("clara", {"overlap": (0.5,) * 3}, r"overlap belongs to mode monai, not to clara \(clara takes cval\)"),
        ("monai", {"step_size": 0.5}, "step_size belongs to mode nnunet, not to monai"),
        ("nnunet", {"colour": 1}, "colour is no setting of any mode"),
        ("monai", {"overlap": (0.5, 1.0, 0.5)}, r"overlap: found \[0.5, 1.0, 0.5\]"),
        ("monai", {"sigma_scale": (0.2,) * 3}, "sigma_scale changes nothing with blend constant"),
        ("nnunet", {"sigma_scale": (0.0, 1.0, 1.0)}, "sigma_scale: found"),
        ("nnunet", {"step_size": 1.5}, r"step_size: found 1.5 \(expected above 0 and at most 1\)"),
        ("monai", {"padding_mode": "reflect"}, r"padding_mode: found 'reflect' \(expected constant or replicate\)"),
        ("monai", {"padding_mode": "replicate", "cval": 1.0}, "cval changes nothing with padding_mode replicate"),
        ("nnunet", {"padding_mode": "replicate"}, "padding_mode belongs to mode monai, not to nnunet"),
        ("nnunet", {"blend": "linear"}, "blend: found 'linear'"),
        ("nnunet", {"mirror_axes": (1, 1)}, r"mirror_axes: found \[1, 1\]"),
    ],
)
def test_refusals(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        window_mode(name, settings)
