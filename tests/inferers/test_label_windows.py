"""Labels of windows at their places, and the windows that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from triton_fakes import model

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.inferers.label_windows import LabelWindows, check_label_windows
from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.windows import make_grid
from gpu_infer.triton.model.info import ModelInfo, TensorInfo


def labels_model(dtype: Any = np.int64, datatype: str = "INT64") -> ModelInfo:
    return model(output=TensorInfo("OUT", np.dtype(dtype), datatype, (-1, -1, -1)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_windows_come_to_their_places(dtype: Any) -> None:
    """The window hangs over the end of two axes."""
    grid = make_grid((4, 6, 5), (4, 8, 9), window_mode("clara"))
    assert grid.window_count == 1
    windows = LabelWindows(CpuBackend(), grid, labels_model(dtype))
    answer = np.random.default_rng(0).integers(0, 256, (1, 1, 4, 8, 9)).astype(dtype)
    windows.add(answer, grid.visits)
    result = windows.close()
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, answer[0, 0, :4, :6, :5])


@pytest.mark.parametrize("label", [-1, 256, 1 << 40])
def test_labels_beyond_a_byte_are_refused(label: int) -> None:
    grid = make_grid((2, 2, 2), (2, 2, 3))
    windows = LabelWindows(CpuBackend(), grid, labels_model())
    answer = np.zeros((1, 1, 2, 2, 3), np.int64)
    answer[..., 2] = label  # padding does not count
    windows.add(answer, grid.visits)
    answer[0, 0, 1, 1, 1] = label
    with pytest.raises(ModelError, match=f"model toy answered the label {label} in OUT, expected 0 to 255"):
        windows.add(answer, grid.visits)


def test_overlaps_are_refused() -> None:
    toy = labels_model()
    side_by_side = window_mode("monai", {"overlap": (0.0, 0.0, 0.0)})
    check_label_windows(toy, make_grid((8, 8, 5), (8, 9, 1), window_mode("nnunet"), slice_axis=2))
    check_label_windows(toy, make_grid((8, 8, 6), (4, 4, 3), side_by_side))
    with pytest.raises(ConfigError, match="windows of 4×4×3 over 8×8×7 overlap on axis Z"):
        check_label_windows(toy, make_grid((8, 8, 7), (4, 4, 3), side_by_side))
    mirrored = window_mode("nnunet", {"mirror_axes": (0,)})
    with pytest.raises(ConfigError, match="windows are mirrored in 2 combinations"):
        check_label_windows(toy, make_grid((8, 8, 7), (8, 8, 7), mirrored))
