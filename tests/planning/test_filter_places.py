"""Filters whose library for the GPU is missing run on the host, and plans, `validate` and `doctor` show it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from planned_runs import inputs_of, model_of

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.filters import FilterPlaces
from gpu_infer.doctor.configuration import check_filters
from gpu_infer.doctor.plan import check_plan
from gpu_infer.planning.dry_run import plan as dry_run
from gpu_infer.planning.filter_places import host_filter_lines, places_on_gpu, transforms_on_host, with_filter_places
from gpu_infer.planning.memory_plan import Placement
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import make_plan

SHAPE = (64, 48, 40)
VOXELS = 64 * 48 * 40
SMOOTH = {"name": "GaussianSmooth", "args": {"fields": "image", "sigma": 2}}
MEDIAN = {"name": "MedianSmooth", "args": {"fields": "image"}}


@pytest.fixture
def inputs(tmp_path: Path) -> RunInputs:
    return inputs_of(tmp_path, SHAPE, dtype=np.int16, pre=(SMOOTH, MEDIAN), roi_size=[16, 16, 16])


@pytest.fixture
def without_cucim() -> Iterator[Any]:
    """A simulated GPU whose installation lacks cuCIM."""
    with simulated_cupy() as module, pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cucim.skimage.filters", None)
        yield module.GpuBackend()


def test_the_cpu_has_no_other_place(inputs: RunInputs) -> None:
    planned = with_filter_places(inputs, CpuBackend())
    assert host_filter_lines(planned.pipeline, planned.places) == []
    assert make_plan(planned, model_of(2, (16, 16, 16))).memory.sizes.host_filters == 0


def test_only_filters_of_cucim_move_to_the_host(inputs: RunInputs, without_cucim: Any) -> None:
    planned = with_filter_places(inputs, without_cucim)
    (line,) = host_filter_lines(planned.pipeline, planned.places)
    assert line.startswith("filters: GaussianSmooth on the host, because cucim.skimage.filters.gaussian cannot be")
    assert line.endswith("pip install 'gpu-infer[cuda13]' (or [cuda12] for a driver of CUDA 12)")
    assert transforms_on_host(planned.pipeline, planned.places) == ["GaussianSmooth"]


def test_both_memories_are_planned(inputs: RunInputs, without_cucim: Any) -> None:
    """The host: the channel as downloaded, in the library's order, and its result. The GPU: a dense copy."""
    model, gpu = model_of(2, (16, 16, 16)), Placement(gpu=True, device_slots=True)
    on_host = make_plan(with_filter_places(inputs, without_cucim), model, placement=gpu).memory
    here = make_plan(replace(inputs, places=FilterPlaces(gpu=True)), model, placement=gpu).memory
    assert on_host.sizes.host_filters == (4 + 4 + 4) * VOXELS
    assert here.sizes.host_filters == 0
    smooth_here, smooth_there = (4 + 8) * VOXELS, 4 * VOXELS
    median = (4 + 4) * VOXELS
    assert here.sizes.transforms == (4 + 4) * VOXELS + smooth_here
    assert on_host.sizes.transforms == (4 + 4) * VOXELS + max(smooth_there, median)
    assert any(line.startswith("filters on the host") for line in on_host.lines())
    assert not any(line.startswith("filters on the host") for line in here.lines())
    assert on_host.host_peak >= on_host.sizes.stored + on_host.sizes.host_filters


def test_validate_shows_it_for_a_gpu(inputs: RunInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cucim.skimage.filters", "cupyx.scipy.ndimage"):
        monkeypatch.setitem(sys.modules, module, None)
    assert transforms_on_host(inputs.pipeline, places_on_gpu(inputs.pipeline)) == ["GaussianSmooth", "MedianSmooth"]
    for device, count in (("cpu", 0), ("gpu", 2)):
        lines = dry_run(inputs_of(tmp_path, SHAPE, pre=(SMOOTH, MEDIAN), options={"device": device}).settings, None)
        assert sum(line.startswith("warning: filters: ") for line in lines) == count


def test_the_doctor_warns(inputs: RunInputs, without_cucim: Any) -> None:
    (check,) = check_filters(inputs.config, without_cucim)
    assert (check.status, check.remedy) == (
        "warn",
        "pip install 'gpu-infer[cuda13]' (or [cuda12] for a driver of CUDA 12)",
    )
    assert check.found.startswith("GaussianSmooth: on the host, because cucim.skimage.filters.gaussian cannot be")
    (check,) = check_filters(inputs.config, CpuBackend())
    assert (check.status, check.found) == ("ok", "all libraries of this configuration's filters are there (cpu)")


def test_the_doctor_plans_both_memories(inputs: RunInputs, without_cucim: Any) -> None:
    plan, _ = check_plan(inputs, [model_of(2, (16, 16, 16))], without_cucim)
    assert plan is not None
    assert plan.memory.sizes.host_filters == 12 * VOXELS


def test_the_doctor_is_silent_without_filters(tmp_path: Path, without_cucim: Any) -> None:
    assert check_filters(inputs_of(tmp_path, SHAPE).config, without_cucim) == []
    assert check_filters(None, without_cucim) == []
