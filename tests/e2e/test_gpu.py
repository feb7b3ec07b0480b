"""The whole operator with `--device gpu`, against a real server: labels, counters and memory.

On simulated CUDA, and with `-m gpu` on the machine's device. A simulated CUDA region is a POSIX segment, which the
server opens as such: slots live on the "device", as with CUDA shared memory.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim import memory
from cudasim.simulated import open_segments_as_cuda, simulated_cupy
from operator_helpers import config, operate, write_nifti
from real_device import real_gpu

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ResourceError
from gpu_infer.planning.memory_plan import TABLES, MemoryPlan
from gpu_infer.planning.run_plan import RunPlan, plan_run
from gpu_infer.report import Report
from gpu_infer.session import shared

pytestmark = pytest.mark.slow

AFFINE = np.array([[-0.9, 0, 0, 10], [0, 0, 1.4, -7], [0, 1.1, 0, 3], [0, 0, 0, 1.0]])


@pytest.fixture
def simulated() -> Iterator[Any]:
    """The GPU backend's module on a simulated device with CUDA IPC."""
    with simulated_cupy() as module, pytest.MonkeyPatch.context() as patch:
        open_segments_as_cuda(patch)
        yield module


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The GPU backend's module on simulated CUDA, or on the device with nothing patched."""
    if request.param == "simulated":
        yield request.getfixturevalue("simulated")
        return
    with real_gpu() as module:
        yield module


@pytest.fixture
def assert_same(request: pytest.FixtureRequest, gpu: Any) -> Callable[[Any, Any], None]:
    """Labels of a run on the GPU equal those of the CPU; on the device, but where scores tie."""
    exact = request.node.callspec.params["gpu"] == "simulated"

    def check(ours: Any, plain: Any) -> None:
        found, expected = labels_of(ours), labels_of(plain)
        tied = 0 if exact else ours.data["gpu"]["tied_voxels"] or 0
        if not tied:
            np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape
        # a voxel of the model's grid is restored to at most two of the file's along each axis
        assert np.count_nonzero(found != expected) <= 8 * tied

    return check


def volume(shape: tuple[int, int, int], dtype: Any = np.int16, seed: int = 3) -> Any:
    return np.random.default_rng(seed).integers(-1, 6, shape).astype(dtype)


def labels_of(result: Any) -> Any:
    """[K, J, I] of the .mhd, read as text and raw bytes: hosts with a device may lack SimpleITK."""
    header = dict(line.split(" = ", 1) for line in Path(result.output).read_text().splitlines())
    shape = [int(n) for n in header["DimSize"].split()][::-1]
    dtype = {"MET_UCHAR": np.uint8, "MET_USHORT": np.uint16}[header["ElementType"]]
    return np.fromfile(Path(result.output).parent / header["ElementDataFile"], dtype).reshape(shape)


def content(model: str = "classes5", **inferer: Any) -> dict[str, Any]:
    return config(model, resolution=(1.2, 1.0, 1.0), roi_size=[12, 10, 8], **inferer)


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
    found = []
    for device in ("cpu", "gpu"):
        write_nifti(tmp_path / device / "input/case.nii", stored, AFFINE)
        chosen = config(model, roi_size=[8, 8, 8])
        chosen["writers"][0]["args"]["dtype"] = "uint16"
        if model == "channels_last":
            chosen["pre_transforms"][1]["name"] = "ConvertToChannelsLast"
        found.append(operate(tmp_path / device, triton_server, chosen, device=device))
    assert_same(found[1], found[0])


def test_voxels_cross_the_bus_twice(tmp_path: Path, triton_server: Any, gpu: Any) -> None:
    """Stored volume up, labels down, and nothing else that counts voxels (promise 9)."""
    stored = volume((30, 26, 22))
    write_nifti(tmp_path / "input/case.nii.gz", stored, AFFINE)
    counted = operate(tmp_path, triton_server, content(), device="gpu", require="cuda_shm").data["gpu"]
    assert counted["bytes_up"] == stored.nbytes
    assert counted["bytes_down"] == stored.size  # uint8 labels
    assert counted["tile_bytes_up"] == counted["tile_bytes_down"] == 0
    assert counted["table_bytes"] < 50_000


def test_labels_are_counted_on_the_device_inside_a_stage(
    tmp_path: Path, triton_server: Any, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pass over the labels on the host follows the download: it would take longer than all kernels together."""

    def on_the_host(*_: Any) -> None:
        raise AssertionError("labels were counted on the host")

    monkeypatch.setattr(CpuBackend, "histogram", on_the_host)
    stages: list[str] = []
    entered: list[str] = []
    count, enter = gpu.GpuBackend.histogram, Report.stage

    def noted(self: Any, labels: Any) -> Any:
        stages.append(entered[-1])
        return count(self, labels)

    @contextmanager
    def stage(self: Report, name: str) -> Iterator[None]:
        entered.append(name)
        with enter(self, name):
            yield
        entered.append("none")

    monkeypatch.setattr(gpu.GpuBackend, "histogram", noted)
    monkeypatch.setattr(Report, "stage", stage)
    write_nifti(tmp_path / "input/case.nii.gz", volume((30, 26, 22)), AFFINE)
    result = operate(tmp_path, triton_server, content(), device="gpu")
    counts = np.bincount(labels_of(result).ravel())
    assert {int(label): found["voxels"] for label, found in result.data["labels"].items()} == dict(enumerate(counts))
    assert stages == ["restore"]


def test_a_second_case_of_a_new_shape_compiles_and_allocates_nothing(
    tmp_path: Path, triton_server: Any, gpu: Any
) -> None:
    """Promise 8, in one process: memory and kernels of the first case serve the second."""
    counted = {}
    for case, shape in (("first", (28, 30, 19)), ("second", (35, 17, 26))):
        write_nifti(tmp_path / case / "input/case.nii.gz", volume(shape), AFFINE)
        result = operate(tmp_path / case, triton_server, content(), device="gpu", require="cuda_shm")
        counted[case] = json.loads((tmp_path / case / "logs/report.json").read_text())["gpu"]
        assert counted[case] == result.data["gpu"]
    assert counted["first"]["allocations"] > 0
    assert counted["first"]["modules_loaded"] > 0
    for fixed in ("allocations", "kernels_compiled", "modules_loaded"):
        assert counted["second"][fixed] == 0, fixed
    assert counted["second"]["launches"] > 0


def test_the_device_holds_no_more_than_planned(tmp_path: Path, triton_server: Any, gpu: Any) -> None:
    """Peak bytes of arrays and slots stay below the plan's figure for the GPU (promise 6), and are near it."""
    write_nifti(tmp_path / "input/case.nii.gz", volume((161, 150, 90)), AFFINE)
    data = operate(
        tmp_path,
        triton_server,
        config("classes5", resolution=(1.2, 1.0, 1.0), roi_size=[64, 64, 64]),
        device="gpu",
        require="cuda_shm",
    ).data
    voxels = data["memory"]["planned_device_peak_bytes"] - TABLES
    windows = data["tiles"]["slots"] * data["tiles"]["batch"]
    spare = windows * (1 + 5) * 4 * 64**3  # a second arena of 1 channel in and 5 out, made after a lost connection
    found = data["gpu"]["peak_device_bytes"]
    assert 0.8 * (voxels - spare) < found <= voxels - spare + (4 << 20)  # pages of slots and pool are TABLES' part
    assert any(line.startswith("GPU peak") for line in data["plan"]["memory"])


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
        found = []
        for device in ("cpu", "gpu"):
            root = tmp_path / case / device
            write_nifti(root / "input/case.nii.gz", volume(shape), AFFINE)
            result = operate(root, triton_server, chosen, device=device)
            found.append(result)
        assert_same(found[1], found[0])
        assert len(np.unique(labels_of(found[0]))) == 5
        counted.append(result.data["gpu"])
        assert sum("is_label=false) + ArgmaxAcrossChannels, one pass" in s for s in result.data["plan"]["stages"]) == 1
        planned = result.data["memory"]["planned_device_peak_bytes"]
        assert counted[-1]["peak_device_bytes"] <= planned - TABLES + (4 << 20)
        (largest,) = (line for line in result.data["plan"]["memory"] if line.startswith("GPU: largest transform"))
        assert float(largest.split()[-2]) * 2**20 < 5 * 4 * math.prod(shape)
    for fixed in ("allocations", "kernels_compiled", "modules_loaded"):
        assert counted[1][fixed] == 0, fixed


def take_masks(chosen: dict[str, Any]) -> None:
    """Masks of five channels, of which the file gets the third; "classes5" answers −|x − k|."""
    names = [f"class{k}" for k in range(5)]
    chosen["post_transforms"] = [
        {
            "name": "ThresholdAcrossChannels",
            "args": {"fields": "model", "threshold": [0.4, 0.38, 0.36, 0.4, 0.4], "sigmoid": True},
        },
        {"name": "SplitAcrossChannels", "args": {"field": "model", "channel_names": names}},
        {"name": "RestoreOriginalShape", "args": {"field": "class2", "src_field": "image", "is_label": True}},
    ]
    chosen["writers"][0]["args"]["field"] = "class2"


@pytest.mark.parametrize("finish", ["argmax", "scores", "masks"])
def test_gaussian_weights_and_mirrors(
    tmp_path: Path, triton_server: Any, gpu: Any, assert_same: Callable[[Any, Any], None], finish: str
) -> None:
    """Importance, a ring that keeps weights, windows that are gathered and blended backwards."""
    found = []
    for device in ("cpu", "gpu"):
        write_nifti(tmp_path / device / "input/case.nii", volume((23, 19, 17)), AFFINE)
        chosen = content(mode="nnunet", mirror_axes=[0, 2])
        if finish == "scores":
            window = {"a_min": 0, "a_max": 1, "b_min": 0, "b_max": 2}
            chosen["post_transforms"].insert(0, {"name": "ScaleIntensityRange", "args": {"fields": "model", **window}})
        if finish == "masks":
            take_masks(chosen)
        found.append(operate(tmp_path / device, triton_server, chosen, device=device))
    assert_same(found[1], found[0])
    assert len(np.unique(labels_of(found[0]))) == (2 if finish == "masks" else 5)
    assert found[1].data["gpu"]["tied_voxels"] >= 0
    assert found[1].data["gpu"]["tie_band"] == 1e-5


FALLBACKS: list[tuple[str, dict[str, Any]]] = [
    ("no spare slots, so that a lost connection ends the run", {"spare": False}),
    ("slots 3 → 2", {"spare": False, "slots": 2}),
    ("slots 2 → 1", {"spare": False, "slots": 1}),
    ("batch 2 → 1", {"spare": False, "slots": 1, "batch": 1}),
    ("slab accumulator switched on", {"spare": False, "slots": 1, "batch": 1, "slab": True}),
    ("accumulator on the host", {"spare": False, "slots": 1, "batch": 1, "slab": True, "host_sums": True}),
]
"""The fallbacks of a GPU in their order, each with the knobs of the plan after it."""


@pytest.mark.parametrize("finish", ["argmax", "scores", "masks"])
def test_little_memory_gives_the_same_labels(tmp_path: Path, triton_server: Any, finish: str) -> None:
    """The device has just what the plan needs after one step, two, and so on; one byte less than after the last is too
    little. What is planned is enough: nothing runs out of memory behind the plan."""
    stored = volume((70, 50, 40))
    chosen = config("classes5", roi_size=[24, 20, 16])
    if finish == "scores":
        window = {"a_min": 0, "a_max": 1, "b_min": 0, "b_max": 2}
        chosen["inferer"]["args"] |= {"mode": "nnunet", "mirror_axes": [0]}
        chosen["post_transforms"].insert(0, {"name": "ScaleIntensityRange", "args": {"fields": "model", **window}})
    if finish == "masks":
        take_masks(chosen)
    plans: list[RunPlan] = []

    def run(name: str, device: str = "gpu", capacity: int = memory.CAPACITY) -> Any:
        def noted(*arguments: Any) -> RunPlan:
            plans.append(plan_run(*arguments))
            return plans[-1]

        write_nifti(tmp_path / name / "input/case.nii", stored, AFFINE)
        with simulated_cupy(capacity=capacity), pytest.MonkeyPatch.context() as patch:
            open_segments_as_cuda(patch)
            patch.setattr(shared, "plan_run", noted)
            options = {"require": "cuda_shm"} if device == "gpu" else {}
            return operate(
                tmp_path / name, triton_server, chosen, device=device, slots=3, batch_size=2, slab=False, **options
            )

    expected = labels_of(run("cpu", "cpu"))
    assert run("ample").data["plan"]["steps"] == []
    ample = plans[-1].memory
    reduced = [with_knobs(ample, **changes) for _, changes in FALLBACKS]
    if finish == "scores":  # whole scores are held while labels are made of them: that stage is then the peak
        assert reduced.pop().device_peak == reduced[-1].device_peak
    for number, memory_plan in enumerate(reduced, start=1):
        result = run(f"step {number}", capacity=memory_plan.device_peak)
        assert [step.split(": ")[-1] for step in result.data["plan"]["steps"]] == [
            name for name, _ in FALLBACKS[:number]
        ]
        assert result.data["memory"]["planned_device_peak_bytes"] == memory_plan.device_peak
        assert result.data["gpu"]["peak_device_bytes"] <= memory_plan.device_peak
        assert result.data["tiles"]["accumulator"] == ("host" if memory_plan.knobs.host_sums else "gpu")
        np.testing.assert_array_equal(labels_of(result), expected)
    with pytest.raises(ResourceError, match="of the GPU's memory at the peak with 1 slot and batch 1"):
        run("too little", capacity=reduced[-1].device_peak - 1)
    assert not (tmp_path / "too little/output/case.mhd").exists()


@pytest.mark.parametrize("data", ["system_shm", "inline"])
def test_sums_on_the_host_with_slots_on_the_host(
    tmp_path: Path, triton_server: Any, gpu: Any, assert_same: Callable[[Any, Any], None], data: str
) -> None:
    found = []
    for device in ("cpu", "gpu"):
        write_nifti(tmp_path / device / "input/case.nii", volume((33, 21, 18)), AFFINE)
        with pytest.MonkeyPatch.context() as patch:
            if device == "gpu":
                patch.setattr(shared, "plan_run", with_sums_on_the_host)
            found.append(operate(tmp_path / device, triton_server, content(), device=device, data=data))
    assert_same(found[1], found[0])
    assert found[1].data["gpu"]["tied_voxels"] is None  # the CPU decides, which counts none
    assert found[1].data["gpu"]["tile_bytes_up"] == 0  # windows go down, scores stay where they are
    assert found[1].data["gpu"]["tile_bytes_down"] > 0


def with_sums_on_the_host(*arguments: Any) -> RunPlan:
    plan = plan_run(*arguments)
    return replace(plan, memory=with_knobs(plan.memory, host_sums=True))


def with_knobs(memory: MemoryPlan, **changes: Any) -> MemoryPlan:
    return replace(memory, knobs=replace(memory.knobs, **changes))


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


def test_nothing_of_the_simulated_device_stays(simulated: Any) -> None:
    ours = f"cudasim-{os.getpid()}-*"
    block = simulated.shared_backend().device_arena(1 << 20)
    assert list(memory.SHM.glob(ours))
    block.close()
    memory.free_all()
    assert not list(memory.SHM.glob(ours))
