"""Segmentation on arrays: labels, what the observer receives, and a ring that is opened again for a new plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_ring import LocalRing
from numpy.typing import NDArray
from planned_runs import inputs_of, model_of

from gpu_infer import slot_rings as module
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ModelError, ResourceError
from gpu_infer.planning.run_plan import RunPlan, make_plan
from gpu_infer.progress import Progress
from gpu_infer.segment import segment
from gpu_infer.slot_rings import open_ring
from gpu_infer.volume.volume import Volume

SHAPE = (9, 8, 7)
WINDOW = (4, 4, 4)


class Transport:
    """A transport that may fall back to inline data when a ring is opened."""

    control = "grpc"
    server = None

    def __init__(self, *, falls_back: bool = False) -> None:
        self.data = "system_shm"
        self.falls_back = falls_back


class Ring(LocalRing):
    """A slot ring whose model decides for class 1 above 0.5 and for class 0 below."""

    opened: list[Ring]

    def __init__(self, transport: Any, model: Any, *, slots: int, batch: int, channels_in: int, **options: Any) -> None:
        super().__init__(two_classes, slots, batch, channels_in, options["window"])
        self.closed = False
        self.options = options
        if transport.falls_back:
            transport.data = "inline"
        self.opened.append(self)

    def counters(self) -> dict[str, Any]:
        return {"requests": self.requests}

    def close(self, *, failed: bool = False) -> None:
        self.closed = True

    def __enter__(self) -> Ring:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def two_classes(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([1 - tiles, tiles], axis=1)


class Observer:
    def __init__(self) -> None:
        self.events: list[Progress] = []
        self.stages: list[str] = []
        self.warnings: list[str] = []
        self.plans: list[RunPlan] = []
        self.inferences: list[tuple[RunPlan, dict[str, Any]]] = []

    def progress(self, event: Progress) -> None:
        self.events.append(event)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.stages.append(name)
        yield

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def record_plan(self, plan: RunPlan) -> None:
        self.plans.append(plan)

    def record_inference(self, plan: RunPlan, counters: dict[str, Any]) -> None:
        self.inferences.append((plan, counters))


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> list[Ring]:
    Ring.opened = []
    monkeypatch.setattr(module, "SlotRing", Ring)
    return Ring.opened


def plan_of(folder: Path, *pre: dict[str, Any]) -> RunPlan:
    return make_plan(inputs_of(folder, SHAPE, dtype=np.float32, pre=pre), model_of(2, WINDOW, max_batch=2))


def volume_of(plan: RunPlan, voxels: NDArray[np.float32], **facts: Any) -> Volume:
    return Volume(voxels[None], plan.inputs.header.geometry, Path("volume.nii"), "nifti", **facts)


def random_voxels() -> NDArray[np.float32]:
    return np.random.default_rng(1).random(SHAPE, dtype=np.float32)


def run(plan: RunPlan, volume: Volume, transport: Any) -> tuple[Any, Observer]:
    observer = Observer()
    return segment(plan, volume, transport, CpuBackend(), observer), observer


def test_labels_counts_and_what_is_observed(tmp_path: Path, rings: list[Ring]) -> None:
    plan, voxels = plan_of(tmp_path), random_voxels()
    result, observer = run(plan, volume_of(plan, voxels), Transport())
    np.testing.assert_array_equal(result.labels["model"], voxels > 0.5)
    assert result.counts == {"model": np.bincount((voxels > 0.5).ravel()).tolist()}
    assert result.plan is plan
    assert observer.stages == ["prepare", "infer", "restore"]
    assert observer.inferences == [(plan, {"requests": rings[0].requests})]
    assert observer.events[-1] == Progress("infer", len(plan.grid.visits), len(plan.grid.visits))
    assert (observer.plans, observer.warnings) == ([], [])
    assert [ring.closed for ring in rings] == [True]


def test_statistics_are_of_the_first_channel_and_only_if_asked_for(tmp_path: Path, rings: list[Ring]) -> None:
    plan, voxels = plan_of(tmp_path), random_voxels()
    settings = replace(plan.inputs.settings, statistics=True)
    result, observer = run(
        replace(plan, inputs=replace(plan.inputs, settings=settings)), volume_of(plan, voxels), Transport()
    )
    assert observer.stages == ["prepare", "infer", "restore", "statistics"]
    (row,) = result.statistics["model"].values()
    above = voxels[voxels > 0.5].astype(np.float64)
    assert (row.voxels, row.median, row.minimum) == (above.size, np.median(above), above.min())
    assert run(plan, volume_of(plan, voxels), Transport())[0].statistics == {}


def test_a_transport_that_falls_back_means_a_new_plan_and_a_new_ring(tmp_path: Path, rings: list[Ring]) -> None:
    plan, voxels = plan_of(tmp_path), random_voxels()
    result, observer = run(plan, volume_of(plan, voxels), Transport(falls_back=True))
    np.testing.assert_array_equal(result.labels["model"], voxels > 0.5)
    assert observer.plans == [result.plan]
    assert result.plan.memory.placement.message_copies == 5
    assert observer.inferences[0][0] is result.plan
    assert [(ring.closed, ring.requests > 0) for ring in rings] == [(True, False), (True, True)]


def test_a_ring_is_closed_if_the_new_plan_does_not_fit(
    tmp_path: Path, rings: list[Ring], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport: Any = Transport(falls_back=True)
    monkeypatch.setattr(CpuBackend, "free_bytes", lambda _: 0)
    monkeypatch.setattr("gpu_infer.planning.free_memory.resident_bytes", lambda: 0)
    with pytest.raises(ResourceError, match="at the peak with 1 slot and batch 1"):
        open_ring(plan_of(tmp_path), transport, CpuBackend())
    assert [ring.closed for ring in rings] == [True]


def test_a_grid_that_voxels_decide_is_inferred_alone(tmp_path: Path, rings: list[Ring]) -> None:
    plan = plan_of(tmp_path, {"name": "CropForegroundObject", "args": {"fields": "image"}})
    voxels = np.zeros(SHAPE, np.float32)
    voxels[2:5, 1:4, 3:6] = 0.9
    result, observer = run(plan, volume_of(plan, voxels), Transport())
    np.testing.assert_array_equal(result.labels["model"], voxels > 0.5)
    assert result.plan.grid.shape == (3, 3, 3)
    assert rings[0].requests == len(result.plan.grid.visits) == 1
    assert observer.inferences[0][0] is result.plan


def test_sums_on_the_host_give_the_same_labels(tmp_path: Path, rings: list[Ring]) -> None:
    plan, voxels = plan_of(tmp_path), random_voxels()
    knobs = replace(plan.memory.knobs, host_sums=True)
    result, _ = run(replace(plan, memory=replace(plan.memory, knobs=knobs)), volume_of(plan, voxels), Transport())
    np.testing.assert_array_equal(result.labels["model"], voxels > 0.5)


def test_nan_of_the_file_is_a_warning(tmp_path: Path, rings: list[Ring]) -> None:
    plan, voxels = plan_of(tmp_path), random_voxels()
    voxels[0, 0, 0] = np.nan
    result, observer = run(plan, volume_of(plan, voxels, not_finite=1), Transport())
    np.testing.assert_array_equal(result.labels["model"], voxels > 0.5)
    assert len(observer.warnings) == 1


def test_nan_of_the_model_ends_the_run_with_its_windows_on_record(
    tmp_path: Path, rings: list[Ring], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, observer = plan_of(tmp_path), Observer()
    monkeypatch.setitem(globals(), "two_classes", lambda tiles: np.repeat(tiles, 2, axis=1) * np.float32(np.nan))
    transport: Any = Transport()
    with pytest.raises(ModelError, match="answered NaN"):
        segment(plan, volume_of(plan, random_voxels()), transport, CpuBackend(), observer)
    assert observer.stages == ["prepare", "infer"]
    assert [recorded for recorded, _ in observer.inferences] == [plan]
    assert rings[0].closed
