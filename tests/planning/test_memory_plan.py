"""The memory plan: sums by hand of both sides, and the steps down in their order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_infer.config.load import load_config
from gpu_infer.errors import ResourceError
from gpu_infer.planning.fallbacks import degrade
from gpu_infer.planning.memory_plan import TABLES, Load, Room
from gpu_infer.planning.run_plan import room_of, settle
from gpu_infer.settings import Settings
from gpu_infer.triton.model.info import ModelInfo, TensorInfo
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.header import VolumeHeader

LOAD = Load(
    stored=100,
    prepared=200,
    tile=30,
    accumulator=400,
    full_accumulator=1000,
    result=50,
    output=60,
    slots=3,
    batch=4,
    slab=False,
)

GPU = replace(LOAD, program=11, importance=7, computed=20, gpu=True, device_slots=True)


def test_peak_by_hand() -> None:
    assert LOAD.arena == 3 * 4 * 30
    assert LOAD.peak == 100 + 200 + 360 + 1000 + 50
    assert LOAD.lines()[-1].startswith("peak")
    wide = Load(**{**LOAD.__dict__, "output": 100_000})
    assert wide.peak == 100 + 50 + 100_000


def test_voxels_in_requests_count() -> None:
    """Without shared memory a slot's bytes lie in messages and buffers as well."""
    inline = Load(**{**LOAD.__dict__, "copies": 3})
    assert inline.peak == LOAD.peak + 3 * LOAD.arena
    assert [line for line in inline.lines() if line.startswith("requests with voxels in them")]
    assert not [line for line in LOAD.lines() if line.startswith("requests")]


def test_enough_memory_changes_nothing() -> None:
    assert degrade(LOAD, LOAD.peak) == (LOAD, [])


def test_steps_are_named_and_ordered() -> None:
    load, steps = degrade(LOAD, 100 + 200 + 400 + 50 + 30)
    assert (load.slab, load.slots, load.batch) == (True, 1, 1)
    assert [step.split(": ")[-1] for step in steps] == [
        "slab accumulator switched on",
        "slots 3 → 2",
        "slots 2 → 1",
        "batch 4 → 2",
        "batch 2 → 1",
    ]


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(ResourceError, match=r"need .* GiB at the peak"):
        degrade(LOAD, 100)


def test_a_step_that_lowers_nothing_is_left_out() -> None:
    """The labels on the file's grid are too much: fewer slots would not change that."""
    with pytest.raises(ResourceError, match="3 slots and batch 4"):
        degrade(replace(LOAD, slab=True, output=5000), 4000)


def test_a_fixed_batch_axis_fills_every_slot() -> None:
    fixed = replace(LOAD, slab=True, full_batch=8)
    assert fixed.arena == 3 * 8 * 30
    _, steps = degrade(fixed, fixed.peak - 2 * 8 * 30)
    assert [step.split(": ")[-1] for step in steps] == ["slots 3 → 2", "slots 2 → 1"]
    with pytest.raises(ResourceError, match="1 slot and batch 4"):
        degrade(fixed, fixed.peak - 2 * 8 * 30 - 1)


def test_both_sides_of_a_gpu_by_hand() -> None:
    assert GPU.device_peak == TABLES + 200 + 3 * 4 * 30 + 7 + 1000 + 50
    assert GPU.device_block == 3 * 4 * 30
    assert GPU.peak == 11 + 100 + 60
    assert replace(GPU, slab=True).device_peak == TABLES + 200 + 360 + 7 + 400 + 50
    assert replace(GPU, chains=9000).device_peak == TABLES + 9000
    assert replace(GPU, chains=9000).peak == GPU.peak
    assert replace(GPU, stored=9000).device_peak == TABLES + 9000 + 200
    assert replace(GPU, computed=9000).device_peak == TABLES + 50 + 9000
    assert replace(LOAD, program=11, importance=7).device_peak == 0


def test_slots_outside_of_the_gpu() -> None:
    """They lie on the host; one of them at a time is copied to and from the device."""
    shared = replace(GPU, device_slots=False)
    assert shared.device_peak == TABLES + 200 + 4 * 30 + 7 + 1000 + 50
    assert (shared.peak, shared.device_block) == (11 + 100 + 360 + 7, 0)
    assert replace(shared, copies=3).peak == 11 + 100 + 360 + 7 + 3 * 360


def test_sums_on_the_host() -> None:
    moved = replace(GPU, slab=True, host_sums=True)
    assert moved.device_peak == TABLES + 200 + 360
    assert moved.peak == 11 + 100 + 7 + 400 + 50 + 4 * 30  # a slot's scores come down
    assert replace(moved, device_slots=False).peak == 11 + 100 + 7 + 400 + 50 + 360
    assert replace(moved, output=5000).peak == 11 + 100 + 50 + 5000


def test_spare_slots_by_hand() -> None:
    """A second arena, on the side on which the first one lies; none with inline data."""
    spare = replace(LOAD, spare=True)
    assert spare.spare_arena == spare.arena == 360
    assert spare.peak == LOAD.peak + 360
    assert replace(spare, copies=3).peak == LOAD.peak + 3 * 360
    gpu = replace(GPU, spare=True)
    assert (gpu.device_peak, gpu.peak) == (GPU.device_peak + 360, GPU.peak)
    assert gpu.device_block == 2 * 360
    shared = replace(gpu, device_slots=False)
    assert shared.peak == 11 + 100 + 2 * 360 + 7
    assert shared.device_peak == replace(GPU, device_slots=False).device_peak


@pytest.mark.parametrize("gpu", [False, True])
def test_spare_slots_are_given_up_before_slots(gpu: bool) -> None:
    load = replace(GPU if gpu else LOAD, slab=True, spare=True, stored=10)
    free = (load.device_peak if gpu else load.peak) - 1
    lighter, steps = degrade(load, None if gpu else free, free if gpu else None)
    assert lighter == replace(load, spare=False)
    assert [step.split(": ")[-1] for step in steps] == ["no spare slots, so that a lost connection ends the run"]
    name = "spare slots, after a lost connection"
    assert [(name in line, "GPU: " in line) for line in load.lines() if name in line] == [(True, gpu)]
    assert not any(name in line for line in lighter.lines())


def test_lines_name_both_sides() -> None:
    def found(load: Load) -> list[str]:
        return [line.rsplit(maxsplit=2)[0].strip() for line in load.lines()]

    assert found(GPU) == [
        *("program and libraries", "stored volume", "importance map", "labels on the file's grid", "host peak"),
        *("GPU: kernels and tables", "GPU: uploaded volume", "GPU: prepared volume", "GPU: slots (3 × 4 tiles)"),
        *("GPU: accumulator (whole grid)", "GPU: importance map", "GPU: result on the model grid"),
        *("GPU: labels on the file's grid", "GPU: largest transform", "GPU peak"),
    ]
    moved = found(replace(GPU, host_sums=True))
    assert "accumulator (whole grid)" in moved
    assert "a slot's scores on the host" in moved
    assert not any(line.startswith("GPU: accumulator") for line in moved)


def test_steps_of_a_gpu_in_their_order() -> None:
    names = ["slots 3 → 2", "slots 2 → 1", "batch 4 → 2", "batch 2 → 1", "slab accumulator switched on"]
    names.append("accumulator on the host")
    tight = replace(GPU, stored=10)  # its upload is no peak
    load, steps = degrade(tight, 1 << 40, TABLES + 200 + 30)
    assert (load.slots, load.batch, load.slab, load.host_sums) == (1, 1, True, True)
    assert [step.split(": ")[-1] for step in steps] == names
    assert all(step.startswith("memory: GPU ") for step in steps)
    peaks = [tight.device_peak]
    for count in range(1, len(names) + 1):  # with room for as many steps, no more are taken
        lighter, taken = degrade(tight, None, peaks[-1] - 1)
        assert [step.split(": ")[-1] for step in taken] == names[:count]
        peaks.append(lighter.device_peak)
    with pytest.raises(ResourceError, match="of the GPU's memory at the peak with 1 slot and batch 1") as refused:
        degrade(tight, None, peaks[-1] - 1)
    assert "--device cpu" in str(refused.value)


def test_a_host_that_is_short_beside_a_gpu() -> None:
    """Slots without CUDA shared memory are given up for the host; with it nothing on the host can be."""
    shared = replace(GPU, device_slots=False)
    load, steps = degrade(shared, shared.peak - 1, None)
    assert (load.slots, load.slab, load.host_sums) == (2, False, False)
    assert steps[0].startswith("memory: host ")
    with pytest.raises(ResourceError, match="of the host's memory"):
        degrade(GPU, GPU.peak - 1, None)
    with pytest.raises(ResourceError, match="of the host's memory"):  # the sums fit on neither side
        degrade(GPU, GPU.peak, TABLES + 300)


class Card:
    name = "gpu"

    def free_bytes(self) -> int:
        return 5 << 30


def test_what_a_run_has_on_a_gpu() -> None:
    backend: Any = Card()
    room = room_of(backend, "grpc", "cuda_shm")
    assert (room.device, room.gpu, room.device_slots, room.copies) == (5 << 30, True, True, 0)
    assert room.host is not None
    assert room.host != room.device
    assert not room_of(backend, "grpc", "system_shm").device_slots
    assert room_of(backend, "http", "inline").copies == 3


@pytest.mark.parametrize("gpu", [False, True])
def test_105_classes_with_the_slab_do_not_grow_with_depth(tmp_path: Path, gpu: bool) -> None:
    """On 512×512×400, windows of 192×192×32: float32 [105, 512, 512, 32] as the slab, whatever the depth."""
    found = {depth: many_classes(tmp_path, depth, Room(gpu=gpu, device_slots=gpu)) for depth in (400, 800)}
    for load in found.values():
        assert load.sums == load.accumulator == 105 * 512 * 512 * 32 * 4
    assert found[400].full_accumulator == 105 * 512 * 512 * 400 * 4
    assert found[800].full_accumulator == 2 * found[400].full_accumulator
    slab, stored, prepared, result = found[400].sums, 512 * 512 * 400, 512 * 512 * 400 * 4, 512 * 512 * 400
    peak = found[400].device_peak - TABLES if gpu else found[400].peak - found[400].program - stored
    assert peak == prepared + 2 * found[400].arena + slab + result  # a second arena, after a lost connection


def many_classes(folder: Path, depth: int, room: Room) -> Load:
    """The plan for uint8 512×512×depth and a model of 105 classes."""
    path = folder / "config_inference.json"
    path.write_text(CONFIG)
    config = load_config(path, {})
    data = np.broadcast_to(np.uint8(0), (1, 512, 512, depth))
    file = Path("deep.nii")
    geometry = Geometry((512, 512, depth), np.eye(4))
    volume = VolumeHeader(geometry, 1, data.dtype, file, (file,), "nifti", lambda _: data)
    tensors = [
        TensorInfo(name, np.dtype(np.float32), "FP32", (channels, 192, 192, 32))
        for name, channels in (("INPUT", 1), ("OUTPUT", 105))
    ]
    model = ModelInfo("many", "1", "python", tensors[0], tensors[1], 1)
    settings = Settings.from_environment({}, config=path, output=folder, logs=folder)
    return settle(config, config.pipeline(), settings, volume, model, room).load


CONFIG = """{
  "pre_transforms": [
    {"name": "LoadNifti", "args": {"fields": "image"}},
    {"name": "ConvertToChannelsFirst", "args": {"fields": "image"}}
  ],
  "post_transforms": [{"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}}],
  "writers": [{"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8"}}],
  "inferer": {"name": "TRTISScanWindowInferer", "args": {"model_name": "many"}}
}
"""
