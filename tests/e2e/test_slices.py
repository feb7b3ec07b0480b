"""2-D models over the slices of a volume, and models with permuted axes, with a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_files import labels_of
from numpy.typing import NDArray
from operator_helpers import config, operate, write_nifti
from toy_scores import places

from gpu_infer.errors import ModelError

pytestmark = pytest.mark.slow

SHAPE = (21, 13, 17)


@pytest.fixture
def case(tmp_path: Path) -> NDArray[np.float32]:
    data = np.random.default_rng(5).random(SHAPE, dtype=np.float32)
    write_nifti(tmp_path / "input/case.nii.gz", data, np.diag([0.8, 0.9, 2.0, 1.0]))
    return data


def slice_by_slice(data: NDArray[np.float32], across: int, transpose: bool = False) -> NDArray[np.intp]:
    """The plain loop: each slice alone through the model, argmax, stack."""
    planes = []
    for n in range(data.shape[across]):
        plane = data.take(n, across)
        plane = plane.T if transpose else plane
        labels = places(np.ascontiguousarray(plane)[None, None])[0].argmax(0)
        planes.append(labels.T if transpose else labels)
    return np.stack(planes, across)


def simple(model: str, **arguments: Any) -> dict[str, Any]:
    content = config(model, **arguments)
    content["inferer"]["name"] = "TRTISSimpleInferer"
    return content


@pytest.mark.parametrize("axis", ["X", "Y", "Z"])
def test_whole_slices(tmp_path: Path, triton_server: Any, case: NDArray[np.float32], axis: str) -> None:
    result = operate(tmp_path, triton_server, simple("places2d", slice_axis=axis))
    across = "XYZ".index(axis)
    expected = slice_by_slice(case, across)
    np.testing.assert_array_equal(labels_of(result), expected)
    assert set(np.unique(expected)) == {0, 1, 2}
    tiles = result.data["tiles"]
    assert (tiles["inferred"], tiles["batch"]) == (SHAPE[across], 4)
    assert tiles["roi"] == [1 if n == across else size for n, size in enumerate(SHAPE)]


@pytest.mark.parametrize("control", ["grpc", "http"])
@pytest.mark.parametrize("data", ["inline", "system_shm"])
def test_every_transport(
    tmp_path: Path, triton_server: Any, case: NDArray[np.float32], control: str, data: str
) -> None:
    result = operate(tmp_path, triton_server, simple("places2d", axes="YX"), control=control, data=data)
    np.testing.assert_array_equal(labels_of(result), slice_by_slice(case, 2, transpose=True))


def test_slices_across_z_are_the_default(tmp_path: Path, triton_server: Any, case: NDArray[np.float32]) -> None:
    result = operate(tmp_path, triton_server, config("places2d", roi_size=[21, 13, 1]))
    np.testing.assert_array_equal(labels_of(result), slice_by_slice(case, 2))


def test_two_numbers_are_the_window_inside_a_slice(
    tmp_path: Path, triton_server: Any, case: NDArray[np.float32]
) -> None:
    result = operate(tmp_path, triton_server, config("places2d", roi_size=[21, 17], slice_axis="Y"))
    np.testing.assert_array_equal(labels_of(result), slice_by_slice(case, 1))
    assert result.data["tiles"]["roi"] == [21, 1, 17]


def test_two_numbers_are_refused_for_a_3d_model(tmp_path: Path, triton_server: Any, case: NDArray[np.float32]) -> None:
    with pytest.raises(ModelError, match="expected channels and two axes"):
        operate(tmp_path, triton_server, config("places3d", roi_size=[21, 13]))


@pytest.mark.parametrize("axis", ["X", "Y", "Z"])
def test_neighbours_as_channels(tmp_path: Path, triton_server: Any, case: NDArray[np.float32], axis: str) -> None:
    across = "XYZ".index(axis)
    padded = np.pad(case, [(2, 2) if n == across else (0, 0) for n in range(3)], mode="edge")
    expected = np.stack(
        [
            places(np.moveaxis(padded.take(range(n, n + 5), across), across, 0)[None])[0].argmax(0)
            for n in range(SHAPE[across])
        ],
        across,
    )
    result = operate(tmp_path, triton_server, simple("places2d", slice_axis=axis, context=2))
    np.testing.assert_array_equal(labels_of(result), expected)


def test_channels_of_neighbours_are_slice_by_slice(tmp_path: Path, triton_server: Any) -> None:
    """With two channels, the model sees both of the slice below, both of the slice, both of the slice above."""
    data = np.random.default_rng(8).random((9, 7, 5, 2), dtype=np.float32)
    write_nifti(tmp_path / "input/case.nii.gz", data, np.eye(4))
    rows = [data[:, :, [max(n - 1, 0), n, min(n + 1, 4)]].transpose(2, 3, 0, 1).reshape(1, 6, 9, 7) for n in range(5)]
    expected = np.stack([places(row)[0].argmax(0) for row in rows], 2)
    result = operate(tmp_path, triton_server, simple("places2d", context=1))
    np.testing.assert_array_equal(labels_of(result), expected)


def test_a_volume_of_one_slice(tmp_path: Path, triton_server: Any) -> None:
    data = np.random.default_rng(6).random((21, 13, 1), dtype=np.float32)
    write_nifti(tmp_path / "input/case.nii.gz", data, np.eye(4))
    result = operate(tmp_path, triton_server, simple("places2d"))
    np.testing.assert_array_equal(labels_of(result), slice_by_slice(data, 2))


@pytest.mark.parametrize("axes", ["ZYX", "YZX", "XYZ"])
def test_permuted_axes_of_a_3d_model(tmp_path: Path, triton_server: Any, case: NDArray[np.float32], axes: str) -> None:
    result = operate(tmp_path, triton_server, simple("places3d", axes=axes))
    order = tuple("XYZ".index(axis) for axis in axes)
    labels = places(np.ascontiguousarray(case.transpose(order))[None, None])[0].argmax(0)
    np.testing.assert_array_equal(labels_of(result), labels.transpose(np.argsort(order)))


@pytest.mark.parametrize("data", ["cuda_shm", "system_shm"])
def test_a_simulated_gpu_gives_the_same_labels(
    tmp_path: Path, triton_server: Any, case: NDArray[np.float32], simulated: Any, data: str
) -> None:
    windows: dict[str, Any] = {"roi_size": [8, 1, 9], "slice_axis": "Y", "axes": "ZYX"}
    configurations = [
        config("places2d", mode="nnunet", mirror_axes=[0], context=1, **windows),
        simple("places3d", axes="ZYX"),
        simple("labels2d", slice_axis="X"),
        simple("labels3d", axes="YZX"),
    ]
    for content in configurations:
        on_gpu = labels_of(operate(tmp_path, triton_server, content, device="gpu", require=data))
        on_cpu = labels_of(operate(tmp_path, triton_server, content, device="cpu"))
        np.testing.assert_array_equal(on_gpu, on_cpu)
