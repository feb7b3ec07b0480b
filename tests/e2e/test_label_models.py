"""Models that do their own argmax, and a model with an optional input, with a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_files import labels_of
from numpy.typing import NDArray
from operator_helpers import config, operate, write_nifti
from toy_scores import places

from gpu_infer.errors import ConfigError

pytestmark = pytest.mark.slow

SHAPE = (21, 12, 16)


@pytest.fixture
def case(tmp_path: Path) -> NDArray[np.float32]:
    data = np.random.default_rng(5).random(SHAPE, dtype=np.float32)
    write_nifti(tmp_path / "input/case.nii.gz", data, np.diag([0.8, 0.9, 2.0, 1.0]))
    return data


def simple(model: str, **arguments: Any) -> dict[str, Any]:
    content = config(model, **arguments)
    content["inferer"]["name"] = "TRTISSimpleInferer"
    return content


@pytest.mark.parametrize("data", ["inline", "system_shm"])
@pytest.mark.parametrize("axes", ["XYZ", "ZYX"])
def test_int64_labels_without_channels_of_a_model_with_an_optional_input(
    tmp_path: Path, triton_server: Any, case: NDArray[np.float32], axes: str, data: str
) -> None:
    result = operate(tmp_path, triton_server, simple("labels3d", axes=axes), data=data)
    order = tuple("XYZ".index(axis) for axis in axes)
    expected = places(np.ascontiguousarray(case.transpose(order))[None, None])[0].argmax(0).transpose(np.argsort(order))
    np.testing.assert_array_equal(labels_of(result), expected)
    assert [(label, row["voxels"]) for label, row in result.data["labels"].items()] == [
        (str(label), int((expected == label).sum())) for label in (0, 1, 2)
    ]


@pytest.mark.parametrize("model", ["labels3d", "labels3d_int32"])
def test_windows_that_do_not_overlap(tmp_path: Path, triton_server: Any, case: NDArray[np.float32], model: str) -> None:
    content = config(model, roi_size=[7, 6, 8], mode="monai", overlap=0)
    expected = np.zeros(SHAPE, np.intp)
    for x, y, z in np.ndindex(3, 2, 2):
        box = (slice(7 * x, 7 * x + 7), slice(6 * y, 6 * y + 6), slice(8 * z, 8 * z + 8))
        expected[box] = places(case[box][None, None])[0].argmax(0)
    np.testing.assert_array_equal(labels_of(operate(tmp_path, triton_server, content)), expected)


def test_uint8_labels_of_slices(tmp_path: Path, triton_server: Any, case: NDArray[np.float32]) -> None:
    expected = np.stack([places(case[:, n][None, None])[0].argmax(0) for n in range(SHAPE[1])], axis=1)
    result = operate(tmp_path, triton_server, simple("labels2d", slice_axis="Y"))
    np.testing.assert_array_equal(labels_of(result), expected)


def test_what_cannot_be_done_with_labels(tmp_path: Path, triton_server: Any, case: NDArray[np.float32]) -> None:
    overlapping = config("labels3d", roi_size=[21, 12, 10])
    with pytest.raises(ConfigError, match=r"labels3d answers labels \(INT64\), .* 21×12×10 over .* overlap on axis Z"):
        operate(tmp_path, triton_server, overlapping)
    mirrored = config("labels3d", roi_size=[21, 12, 16], mode="nnunet", mirror_axes=[0, 1])
    with pytest.raises(ConfigError, match="cannot be averaged: windows are mirrored in 4 combinations"):
        operate(tmp_path, triton_server, mirrored)
    with pytest.raises(ConfigError, match="--scores or --uncertainty: model labels3d answers labels"):
        operate(tmp_path, triton_server, simple("labels3d"), uncertainty=True)
    threshold = simple("labels3d")
    threshold["post_transforms"][0] = {"name": "ThresholdValues", "args": {"fields": "model", "threshold": 0.5}}
    with pytest.raises(ConfigError, match=r"answers labels .*, the post_transforms work on scores"):
        operate(tmp_path, triton_server, threshold)
