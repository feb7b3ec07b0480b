"""The run plan: what a window mode means for it, and how it changes with the transport and with the grid."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from planned_runs import inputs_of, model_of

from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError
from gpu_infer.planning.dry_run import plan as dry_run
from gpu_infer.planning.memory_plan import STAGING, TABLES, Placement
from gpu_infer.planning.run_plan import make_plan, replan_for_grid, replan_for_transport
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.model.info import ModelInfo, TensorInfo
from gpu_infer.triton.model.layout import TensorLayout


@pytest.fixture
def planned(tmp_path: Path) -> Any:
    """Lines of `validate` for the packaged configuration with other arguments of the inferer."""
    content = json.loads((resource_folder("config") / "config_inference.json").read_text())
    volume = nib.Nifti1Image(np.zeros((330, 330, 20), np.int16), np.diag([0.8, 0.8, 5.0, 1.0]))
    nib.save(volume, tmp_path / "case.nii")

    def lines(option: str | None = None, **arguments: Any) -> list[str]:
        content["inferer"]["args"] |= arguments
        path = tmp_path / "config_inference.json"
        path.write_text(json.dumps(content))
        settings = Settings.from_environment({}, config=path, mode=option, output=tmp_path, logs=tmp_path)
        return dry_run(settings, tmp_path / "case.nii")

    return lines


def windows(lines: list[str]) -> str:
    return next(line for line in lines if "windows" in line)


def test_clara_monai_and_nnunet(planned: Any) -> None:
    assert windows(planned()).startswith("4 windows of 320×320×64 over 330×330×20, mode clara, batch 2, 2 slots")
    assert "mode monai, batch 2, 2 slots" in windows(planned("monai"))
    lines = planned("nnunet")
    assert "mode nnunet, gaussian weights, batch 2, 2 slots" in windows(lines)
    assert any(line.startswith("importance map") and line.endswith("25.0 MiB") for line in lines)
    assert not any(line.startswith("importance map") for line in planned("clara"))


def test_mirrors_are_requests(planned: Any) -> None:
    line = windows(planned(mode="nnunet", mirror_axes=[0, 1, 2], blend="constant"))
    assert line.startswith("4 windows")
    assert "mode nnunet, mirrored in 8 combinations, batch 2, 2 slots" in line


def test_an_option_against_the_configuration(planned: Any) -> None:
    with pytest.raises(ConfigError, match="step_size belongs to mode nnunet, not to monai"):
        planned("monai", mode="nnunet", step_size=0.25)


@pytest.mark.parametrize("mode", ["clara", "monai", "nnunet"])
def test_a_constant_that_the_dtype_of_the_model_cannot_hold(tmp_path: Path, mode: str) -> None:
    """As float16 it would be infinite."""
    model = model_of(2, (32, 32, 32))
    half = replace(model, input=replace(model.input, dtype=np.dtype(np.float16), datatype="FP16"))
    inputs = inputs_of(tmp_path, (40, 40, 40), mode=mode, cval=-65505)
    assert make_plan(inputs, model).mode.cval == -65505
    words = r"cval: found -65505, expected a number from -65504 to 65504: model many takes FP16 \(correct cval in"
    with pytest.raises(ConfigError, match=words):
        make_plan(inputs, half)
    assert make_plan(inputs_of(tmp_path, (40, 40, 40), mode=mode, cval=-65504), half).mode.cval == -65504


class _Transport:
    control, data = "grpc", "system_shm"


class _Cpu:
    name = "cpu"

    def __init__(self, free: int = 1 << 40) -> None:
        self.free = free

    def free_bytes(self) -> int:
        return self.free


def test_knobs_are_no_larger_than_the_number_of_windows_needs(tmp_path: Path) -> None:
    model = model_of(2, (8, 8, 8), max_batch=4)
    many = make_plan(inputs_of(tmp_path, (64, 64, 64), options={"slots": 3}), model).memory.knobs
    assert (many.slots, many.batch, many.slab, many.spare, many.host_sums) == (3, 4, True, True, False)
    one = make_plan(inputs_of(tmp_path, (8, 8, 8), options={"slots": 3}), model).memory.knobs
    assert (one.slots, one.batch) == (1, 1)


def test_a_plan_for_the_same_transport_stays(tmp_path: Path) -> None:
    plan = make_plan(inputs_of(tmp_path, (64, 64, 64)), model_of(2, (8, 8, 8)))
    transport: Any = _Transport()
    backend: Any = _Cpu()
    assert replan_for_transport(plan, transport, backend) is plan


def test_a_plan_for_inline_data_counts_messages_and_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_infer.planning.free_memory.resident_bytes", lambda: 0)
    plan = make_plan(inputs_of(tmp_path, (64, 64, 64)), model_of(2, (32, 32, 32)))
    transport: Any = _Transport()
    transport.data = "inline"
    roomy: Any = _Cpu()
    inline = replan_for_transport(plan, transport, roomy)
    assert inline.memory.placement.message_copies == 5
    assert inline.memory.knobs == plan.memory.knobs
    assert inline.fallbacks == []
    # one slot less suffices
    tight: Any = _Cpu(inline.memory.host_peak - inline.memory.slot_bytes)
    reduced = replan_for_transport(plan, transport, tight)
    assert [line.split(": ")[-1] for line in reduced.fallbacks] == ["slots 2 → 1"]
    assert plan.fallbacks == []


def test_a_plan_for_a_smaller_grid_keeps_its_memory(tmp_path: Path) -> None:
    plan = make_plan(inputs_of(tmp_path, (64, 64, 64)), model_of(2, (8, 8, 8), max_batch=4))
    smaller = replan_for_grid(plan, (8, 8, 20))
    assert smaller.grid.shape == (8, 8, 20)
    assert smaller.grid.distinct_count == 3
    assert (smaller.memory.knobs.batch, smaller.memory.knobs.slots) == (3, 1)
    assert smaller.memory.sizes == plan.memory.sizes
    assert (plan.memory.knobs.batch, plan.memory.knobs.slots) == (4, 2)


def test_a_simple_inferer_takes_the_window_of_the_smaller_grid(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, (64, 64, 64))
    path = inputs.config.path
    path.write_text(path.read_text().replace("TRTISScanWindowInferer", "TRTISSimpleInferer"))
    config = load_config(path, {})
    plan = make_plan(replace(inputs, config=config), model_of(2, (-1, -1, -1)))
    assert plan.fit.window == (64, 64, 64)
    assert replan_for_grid(plan, (8, 9, 10)).fit.window == (8, 9, 10)


def test_classes_that_only_the_server_knows(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, (64, 64, 64))
    model = model_of(-1, (8, 8, 8))
    unknown, known = make_plan(inputs, model), make_plan(inputs, model, channels_out=7)
    assert (unknown.fit.channels_out, known.fit.channels_out) == (-1, 7)
    assert known.memory.sizes.full_accumulator == 7 * unknown.memory.sizes.full_accumulator


@pytest.mark.parametrize(
    ("queue", "clients", "asked", "slots"),
    [(None, 4, None, 2), (8, 1, None, 2), (3, 1, 5, 3), (8, 4, 5, 2), (8, 5, 5, 1), (2, 9, 5, 1), (None, 1, 5, 5)],
)
def test_slots_stay_within_the_queue_of_the_model(
    tmp_path: Path, queue: int | None, clients: int, asked: int | None, slots: int
) -> None:
    options = {} if asked is None else {"slots": asked}
    inputs = replace(inputs_of(tmp_path, (60, 60, 60), options=options), clients=clients)
    model = replace(model_of(2, (16, 16, 16)), queue=queue)
    assert make_plan(inputs, model).memory.knobs.slots == slots


def model_of_slices(*, channels: int = 1, labels: bool = False) -> ModelInfo:
    out = (np.dtype(np.int64), "INT64", (-1, -1)) if labels else (np.dtype(np.float32), "FP32", (2, -1, -1))
    return ModelInfo(
        "flat",
        "1",
        "python",
        TensorInfo("IN", np.dtype(np.float32), "FP32", (channels, -1, -1)),
        TensorInfo("OUT", *out),
        8,
    )


def test_slices_are_windows_of_size_1(tmp_path: Path) -> None:
    inputs = inputs_of(
        tmp_path, (30, 20, 10), roi_size=[16, 1, 8], slice_axis="Y", context=1, axes="ZYX", mode="nnunet"
    )
    plan = make_plan(inputs, model_of_slices(channels=3))
    assert (plan.layout, plan.fit.model_channels) == (TensorLayout("ZX"), 3)
    assert plan.grid.axis_starts[1] == tuple(range(20))
    assert plan.memory.sizes.window == (3 + 2) * 16 * 8 * 4
    assert plan.memory.sizes.prepared == 30 * 20 * 10 * 4
    assert plan.memory.sizes.slab_accumulator == 2 * 30 * 10 * 4
    assert plan.lines()[2] == (
        "windows are slices across axis Y, with 1 neighbours on each side as channels, the model's axes are ZX"
    )
    with pytest.raises(ConfigError, match=r"mirror_axes: found \[2\] for slices across axis Z"):
        make_plan(inputs_of(tmp_path, (8, 8, 8), roi_size=[8, 8, 1], mode="nnunet", mirror_axes=[2]), model_of_slices())
    smaller = replan_for_grid(plan, (12, 9, 10))
    assert smaller.grid.axis_starts[1] == tuple(range(9))
    assert smaller.grid.context == 1


@pytest.mark.parametrize("gpu", [False, True])
def test_labels_need_no_sums(tmp_path: Path, gpu: bool) -> None:
    inputs = inputs_of(tmp_path, (30, 20, 10), roi_size=[30, 20, 1])
    memory = make_plan(inputs, model_of_slices(labels=True), placement=Placement(gpu, gpu)).memory
    assert (memory.sums_bytes, memory.knobs.host_sums) == (0, gpu)
    assert memory.sizes.window == 30 * 20 * (4 + 8)
    assert memory.sizes.result == 30 * 20 * 10
    arenas = 2 * memory.arena_bytes
    if gpu:
        assert memory.device_peak == TABLES + 4 * 6000 + arenas + 6000
        assert memory.host_peak == memory.sizes.program + STAGING + 6000 + max(6000 + memory.slot_bytes, 3 * 6000)
    else:
        assert memory.host_peak == memory.sizes.program + 6000 + 4 * 6000 + arenas + 6000
