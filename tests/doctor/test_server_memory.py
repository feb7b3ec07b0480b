"""Shared memory for the windows of a local Triton: the file system is that of the test."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest
import SimpleITK as sitk

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.config.load import load_config
from gpu_infer.doctor import server_memory
from gpu_infer.doctor.plan import check_plan
from gpu_infer.doctor.server_memory import check_server_memory
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.repository import model_in_repository
from gpu_infer.volume.read import read_header

Usage = namedtuple("Usage", "total used free")
WINDOW = 320 * 320 * 64 * 4 * 3
"""Bytes of a window of the packaged model: one channel in, two out, float32; 75 MiB."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    sitk.WriteImage(sitk.Image([40, 30, 20], sitk.sitkInt16), tmp_path / "scan.nii")
    return Settings(input=tmp_path / "scan.nii", output=tmp_path / "out", local_models=resource_folder("models"))


@pytest.fixture
def model() -> ModelInfo:
    model = model_in_repository(resource_folder("models"), "segmentation_ct_lung_v1")
    assert model is not None
    return model


def _plan(settings: Settings, model: ModelInfo, data: str | None) -> RunPlan:
    config = load_config(settings.config, {})
    inputs = RunInputs(settings, config, config.pipeline(), read_header([settings.input]))
    plan, _ = check_plan(inputs, [model], CpuBackend(), data)
    assert plan is not None
    return plan


def _has(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(server_memory.shutil, "disk_usage", lambda _: Usage(free, 0, free))


def test_a_window_that_does_not_fit_fails(
    settings: Settings, model: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The volume has one window, so a request and all slots have one, too."""
    plan = _plan(settings, model, "inline")
    expected = {64 << 20: ["fail"], WINDOW - 1: ["fail"], WINDOW: ["warn"], WINDOW * 3 // 2: []}
    for free, statuses in expected.items():
        _has(monkeypatch, free)
        for known, data in ((plan, "inline"), (None, None)):
            checks = check_server_memory(settings, None, [model], known, data)
            assert [check.status for check in checks] == statuses
    _has(monkeypatch, 64 << 20)
    (check,) = check_server_memory(settings, None, [model], plan, "inline")
    assert check.exit_code == 5
    assert check.found == "/dev/shm has 64 MiB free, the local Triton needs 75 MiB for the windows of a request"
    assert check.remedy is not None
    assert "--shm-size=2g" in check.remedy


def test_slots_in_shared_memory_count(settings: Settings, model: ModelInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(settings, model, "system_shm")
    expected = {2 * WINDOW - 1: ["fail"], 2 * WINDOW: ["warn"], WINDOW * 5 // 2: []}
    for free, statuses in expected.items():
        _has(monkeypatch, free)
        assert [check.status for check in check_server_memory(settings, None, [model], plan, "system_shm")] == statuses
