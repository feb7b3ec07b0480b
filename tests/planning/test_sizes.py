"""Sizes of arrays, by hand, for a volume that no machine has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_infer.config.load import load_config
from gpu_infer.planning.memory_plan import TABLES, MemoryPlan, Placement
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.settings import Settings
from gpu_infer.triton.model.info import ModelInfo, TensorInfo
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.header import VolumeHeader


@pytest.mark.parametrize("gpu", [False, True])
def test_105_classes_with_the_slab_do_not_grow_with_depth(tmp_path: Path, gpu: bool) -> None:
    """On 512×512×400, windows of 192×192×32: float32 [105, 512, 512, 32] as the slab, for every depth."""
    shallow, deep = (many_classes(tmp_path, depth, Placement(gpu=gpu, device_slots=gpu)) for depth in (400, 800))
    for plan in (shallow, deep):
        assert plan.sums_bytes == plan.sizes.slab_accumulator == 105 * 512 * 512 * 32 * 4
    assert shallow.sizes.full_accumulator == 105 * 512 * 512 * 400 * 4
    assert deep.sizes.full_accumulator == 2 * shallow.sizes.full_accumulator
    stored, prepared, result = 512 * 512 * 400, 512 * 512 * 400 * 4, 512 * 512 * 400
    peak = shallow.device_peak - TABLES if gpu else shallow.host_peak - shallow.sizes.program - stored
    # a second arena, after a lost connection
    assert peak == prepared + 2 * shallow.arena_bytes + shallow.sums_bytes + result


def test_every_size_of_many_classes(tmp_path: Path) -> None:
    sizes = many_classes(tmp_path, 400, Placement()).sizes
    voxels, window = 512 * 512 * 400, 192 * 192 * 32
    assert sizes.stored == voxels
    assert sizes.prepared == 4 * voxels
    assert sizes.window == (1 + 105) * window * 4
    assert (sizes.result, sizes.computed, sizes.output) == (voxels, voxels, 2 * voxels)
    assert (sizes.importance, sizes.fixed_batch) == (0, 0)


def many_classes(folder: Path, depth: int, placement: Placement) -> MemoryPlan:
    """The plan for uint8 512×512×depth and a model of 105 classes."""
    path = folder / "config_inference.json"
    path.write_text(CONFIG)
    config = load_config(path, {})
    data = np.broadcast_to(np.uint8(0), (1, 512, 512, depth))
    file = Path("deep.nii")
    geometry = Geometry((512, 512, depth), np.eye(4))
    header = VolumeHeader(geometry, 1, data.dtype, file, (file,), "nifti", lambda _: data)
    tensors = [
        TensorInfo(name, np.dtype(np.float32), "FP32", (channels, 192, 192, 32))
        for name, channels in (("INPUT", 1), ("OUTPUT", 105))
    ]
    model = ModelInfo("many", "1", "python", tensors[0], tensors[1], 1)
    settings = Settings.from_environment({}, config=path, output=folder, logs=folder)
    inputs = RunInputs(settings, config, config.pipeline(), header)
    return make_plan(inputs, model, placement=placement).memory


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
