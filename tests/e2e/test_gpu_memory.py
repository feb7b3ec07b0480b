"""Memory and counters of the whole operator with `--device gpu`, against a real server.

On simulated CUDA, and with `-m gpu` on the machine's device. A simulated CUDA region is a POSIX segment, which the
server opens as such: slots live on the "device", as with CUDA shared memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim import memory
from cudasim.simulated import open_segments_as_cuda, simulated_cupy
from gpu_runs import AFFINE, content, labels_of, module_of, take_masks, volume, with_knobs
from operator_helpers import config, operate, write_nifti

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ResourceError
from gpu_infer.planning.memory_plan import TABLES
from gpu_infer.planning.run_plan import RunPlan, plan_run
from gpu_infer.report import Report
from gpu_infer.session import shared

pytestmark = pytest.mark.slow


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The GPU backend's module on simulated CUDA, or on the device with nothing patched."""
    yield from module_of(request)


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
    assert {int(label): entry["voxels"] for label, entry in result.data["labels"].items()} == dict(enumerate(counts))
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
    peak = data["gpu"]["peak_device_bytes"]
    assert 0.8 * (voxels - spare) < peak <= voxels - spare + (4 << 20)  # pages of slots and pool are TABLES' part
    assert any(line.startswith("GPU peak") for line in data["plan"]["memory"])


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


def test_nothing_of_the_simulated_device_stays(simulated: Any) -> None:
    ours = f"cudasim-{os.getpid()}-*"
    block = simulated.shared_backend().device_arena(1 << 20)
    assert list(memory.SHM.glob(ours))
    block.close()
    memory.free_all()
    assert not list(memory.SHM.glob(ours))
