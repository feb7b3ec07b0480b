"""Labels of the whole operator with `--device gpu`, against a real server.

On simulated CUDA, and with `-m gpu` on the machine's device. A simulated CUDA region is a POSIX segment, which the
server opens as such: slots live on the "device", as with CUDA shared memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_runs import AFFINE, content, labels_of, module_of, take_masks, volume, with_knobs
from operator_helpers import config, operate, write_nifti

from gpu_infer.planning.memory_plan import TABLES
from gpu_infer.planning.run_plan import RunPlan, plan_run
from gpu_infer.session import shared

pytestmark = pytest.mark.slow


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The GPU backend's module on simulated CUDA, or on the device with nothing patched."""
    yield from module_of(request)


@pytest.fixture
def assert_same(request: pytest.FixtureRequest, gpu: Any) -> Callable[[Any, Any], None]:
    """Labels of a run on the GPU equal those of the CPU; on the device, but where scores tie."""
    exact = request.node.callspec.params["gpu"] == "simulated"

    def check(ours: Any, plain: Any) -> None:
        actual, expected = labels_of(ours), labels_of(plain)
        tied = 0 if exact else ours.data["gpu"]["tied_voxels"] or 0
        if not tied:
            np.testing.assert_array_equal(actual, expected)
        assert actual.shape == expected.shape
        # a voxel of the model's grid is restored to at most two of the file's along each axis
        assert np.count_nonzero(actual != expected) <= 8 * tied

    return check


@pytest.mark.parametrize("control", ["grpc", "http"])
@pytest.mark.parametrize("data", ["cuda_shm", "system_shm", "inline"])
def test_labels_equal_those_of_the_cpu(
    tmp_path: Path,
    triton_server: Any,
    gpu: Any,
    assert_same: Callable[[Any, Any], None],
    control: str,
    data: str,
    no_leftovers: None,
) -> None:
    stored = volume((33, 21, 18))
    for device in ("cpu", "gpu"):
        write_nifti(tmp_path / device / "input/case.nii.gz", stored, AFFINE)
    common = {"control": control, "slots": 3, "batch_size": 2}
    plain = operate(tmp_path / "cpu", triton_server, content(), device="cpu", **common)
    ours = operate(tmp_path / "gpu", triton_server, content(), device="gpu", require=data, **common)
    assert ours.data["device"] == "gpu"
    assert ours.data["triton"]["data"] == data
    assert_same(ours, plain)
    assert len(np.unique(labels_of(ours))) == 5
    counted = ours.data["gpu"]
    tiles = counted["tile_bytes_up"] + counted["tile_bytes_down"]
    assert (tiles == 0) == (data == "cuda_shm")


@pytest.mark.parametrize("model", ["threshold_half_fp16", "channels_last", "label300"])
def test_other_tensors(
    tmp_path: Path, triton_server: Any, gpu: Any, assert_same: Callable[[Any, Any], None], model: str
) -> None:
    stored = np.random.default_rng(1).random((20, 17, 11), dtype=np.float32)
    results = []
    for device in ("cpu", "gpu"):
        write_nifti(tmp_path / device / "input/case.nii", stored, AFFINE)
        chosen = config(model, roi_size=[8, 8, 8])
        chosen["writers"][0]["args"]["dtype"] = "uint16"
        if model == "channels_last":
            chosen["pre_transforms"][1]["name"] = "ConvertToChannelsLast"
        results.append(operate(tmp_path / device, triton_server, chosen, device=device))
    assert_same(results[1], results[0])


def test_scores_restored_linearly(
    tmp_path: Path, triton_server: Any, gpu: Any, assert_same: Callable[[Any, Any], None]
) -> None:
    """The CPU's labels; a second case takes no memory; no transform holds scores on the file's grid."""
    chosen = config("classes5", resolution=(1.2, 1.4, 1.3), roi_size=[32, 32, 32])
    argmax, copy, restore = chosen["post_transforms"]
    restore["args"]["is_label"] = False
    chosen["post_transforms"] = [copy, restore, argmax]
    counted = []
    for case, shape in (("first", (70, 75, 60)), ("second", (52, 66, 71))):
        results = []
        for device in ("cpu", "gpu"):
            root = tmp_path / case / device
            write_nifti(root / "input/case.nii.gz", volume(shape), AFFINE)
            result = operate(root, triton_server, chosen, device=device)
            results.append(result)
        assert_same(results[1], results[0])
        assert len(np.unique(labels_of(results[0]))) == 5
        counted.append(result.data["gpu"])
        assert sum("is_label=false) + ArgmaxAcrossChannels, one pass" in s for s in result.data["plan"]["stages"]) == 1
        planned = result.data["memory"]["planned_device_peak_bytes"]
        assert counted[-1]["peak_device_bytes"] <= planned - TABLES + (4 << 20)
        (largest,) = (line for line in result.data["plan"]["memory"] if line.startswith("GPU: largest transform"))
        assert float(largest.split()[-2]) * 2**20 < 5 * 4 * math.prod(shape)
    for fixed in ("allocations", "kernels_compiled", "modules_loaded"):
        assert counted[1][fixed] == 0, fixed


@pytest.mark.parametrize("finish", ["argmax", "scores", "masks"])
def test_gaussian_weights_and_mirrors(
    tmp_path: Path, triton_server: Any, gpu: Any, assert_same: Callable[[Any, Any], None], finish: str
) -> None:
    """Importance, a ring that keeps weights, windows that are gathered and blended backwards."""
    results = []
    for device in ("cpu", "gpu"):
        write_nifti(tmp_path / device / "input/case.nii", volume((23, 19, 17)), AFFINE)
        chosen = content(mode="nnunet", mirror_axes=[0, 2])
        if finish == "scores":
            window = {"a_min": 0, "a_max": 1, "b_min": 0, "b_max": 2}
            chosen["post_transforms"].insert(0, {"name": "ScaleIntensityRange", "args": {"fields": "model", **window}})
        if finish == "masks":
            take_masks(chosen)
        results.append(operate(tmp_path / device, triton_server, chosen, device=device))
    assert_same(results[1], results[0])
    assert len(np.unique(labels_of(results[0]))) == (2 if finish == "masks" else 5)
    assert results[1].data["gpu"]["tied_voxels"] >= 0
    assert results[1].data["gpu"]["tie_band"] == 1e-5


@pytest.mark.parametrize("data", ["system_shm", "inline"])
def test_sums_on_the_host_with_slots_on_the_host(
    tmp_path: Path, triton_server: Any, gpu: Any, assert_same: Callable[[Any, Any], None], data: str
) -> None:
    results = []
    for device in ("cpu", "gpu"):
        write_nifti(tmp_path / device / "input/case.nii", volume((33, 21, 18)), AFFINE)
        with pytest.MonkeyPatch.context() as patch:
            if device == "gpu":
                patch.setattr(shared, "plan_run", with_sums_on_the_host)
            results.append(operate(tmp_path / device, triton_server, content(), device=device, data=data))
    assert_same(results[1], results[0])
    assert results[1].data["gpu"]["tied_voxels"] is None  # the CPU decides, which counts none
    assert results[1].data["gpu"]["tile_bytes_up"] == 0  # windows go down, scores stay where they are
    assert results[1].data["gpu"]["tile_bytes_down"] > 0


def with_sums_on_the_host(*arguments: Any) -> RunPlan:
    plan = plan_run(*arguments)
    return replace(plan, memory=with_knobs(plan.memory, host_sums=True))


def test_restoring_all_orientations(tmp_path: Path, triton_server: Any, gpu: Any) -> None:
    """A signed permutation of each kind: the file's own voxels come back thresholded, in its own axis order."""
    stored = np.random.default_rng(7).random((13, 10, 7), dtype=np.float32)
    for number, axes in enumerate(itertools.permutations(range(3))):
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, axes] * [1 - 2 * (number >> bit & 1) for bit in range(3)]
        root = tmp_path / str(number)
        write_nifti(root / "input/case.nii", stored, affine)
        result = operate(root, triton_server, config("threshold_half", roi_size=[8, 8, 8]), device="gpu")
        np.testing.assert_array_equal(labels_of(result).transpose(2, 1, 0), stored > 0.5)
