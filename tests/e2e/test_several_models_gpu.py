"""Ensembles and unions with `--device gpu`, against a real server: the CPU's labels, within the planned memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim import memory
from cudasim.simulated import open_segments_as_cuda, simulated_cupy
from gpu_runs import labels_of, module_of
from operator_helpers import operate, write_nifti
from several_models import content

from gpu_infer.planning.run_plan import RunPlan, plan_run
from gpu_infer.session import shared

pytestmark = pytest.mark.slow

AFFINE = np.array([[-0.9, 0, 0, 10], [0, 0, 1.4, -7], [0, 1.1, 0, 3], [0, 0, 0, 1.0]])
SHAPE = (70, 50, 40)
GAUSSIAN: dict[str, Any] = {"mode": "nnunet", "mirror_axes": [0]}


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The GPU backend's module on simulated CUDA, or on the device with nothing patched."""
    yield from module_of(request)


def configured(combine: str) -> dict[str, Any]:
    """An ensemble with equal weights, one with a Gaussian and others, or a union with a label above 255."""
    if combine == "equal":
        return content(["places3d", "classes3"])
    if combine == "weighted":
        return content([{"model_name": "places3d", "weight": 2}, {"model_name": "classes3", "weight": 1}], **GAUSSIAN)
    parts = [{"model_name": "classes5", "offset": 0}, {"model_name": "places3d", "labels": [300, 0]}]
    made = content(parts, combine="union")
    made["writers"][0]["args"]["dtype"] = "uint16"
    return made


def case(root: Path, shape: tuple[int, int, int] = (33, 21, 18)) -> None:
    stored = np.random.default_rng(3).integers(-1, 6, shape).astype(np.int16)
    write_nifti(root / "input/case.nii", stored, AFFINE)


@pytest.mark.parametrize("data", ["cuda_shm", "system_shm", "inline"])
@pytest.mark.parametrize("combine", ["equal", "weighted", "union"])
def test_labels_equal_those_of_the_cpu(
    tmp_path: Path, triton_server: Any, gpu: Any, combine: str, data: str, no_leftovers: None
) -> None:
    case(tmp_path)
    chosen = configured(combine)
    plain = operate(tmp_path, triton_server, chosen, device="cpu", output=tmp_path / "cpu")
    ours = operate(tmp_path, triton_server, chosen, device="gpu", require=data, slots=3, batch_size=2)
    assert ours.data["triton"]["data"] == data
    different = np.count_nonzero(labels_of(ours) != labels_of(plain))
    assert different <= (ours.data["gpu"]["tied_voxels"] if gpu.__name__.startswith("gpu_infer") else 0)
    assert len(np.unique(labels_of(plain))) > 1
    tiles = ours.data["gpu"]["tile_bytes_up"] + ours.data["gpu"]["tile_bytes_down"]
    assert (tiles == 0) == (data == "cuda_shm")


@pytest.mark.parametrize("combine", ["equal", "weighted", "union"])
def test_little_memory_gives_the_same_labels(tmp_path: Path, triton_server: Any, combine: str) -> None:
    """The device has just what the plan needs after the fallbacks, so that anything beyond it fails."""
    case(tmp_path, SHAPE)
    chosen, plans = configured(combine), list[RunPlan]()
    chosen["inferer"]["args"]["roi_size"] = [24, 20, 16]

    def noted(*arguments: Any) -> RunPlan:
        plans.append(plan_run(*arguments))
        return plans[-1]

    def run(name: str, capacity: int = memory.CAPACITY) -> Any:
        with simulated_cupy(capacity=capacity), pytest.MonkeyPatch.context() as patch:
            open_segments_as_cuda(patch)
            patch.setattr(shared, "plan_run", noted)
            return operate(
                *(tmp_path, triton_server, chosen),
                device="gpu",
                require="cuda_shm",
                slots=2,
                batch_size=2,
                slab=False,
                output=tmp_path / name,
            )

    expected = labels_of(run("ample"))
    ample = plans[-1].memory
    for host_sums in (False, True):
        knobs = replace(ample.knobs, slots=1, batch=1, slab=True, spare=False, host_sums=host_sums)
        least = replace(ample, knobs=knobs).device_peak
        result = run(f"host sums {host_sums}", least)
        assert result.data["memory"]["planned_device_peak_bytes"] <= least
        assert result.data["gpu"]["peak_device_bytes"] <= least
        assert result.data["tiles"]["accumulator"] == ("host" if host_sums else "gpu")
        np.testing.assert_array_equal(labels_of(result), expected)
