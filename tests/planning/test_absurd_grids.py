"""Grids beyond any memory are refused by arithmetic, before lists or arrays of that size are created."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.windows import make_grid
from gpu_infer.planning import dry_run
from gpu_infer.planning.free_memory import FreeMemory
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.model.repository import model_in_repository
from gpu_infer.volume.read import read_header

MODELS = Path(__file__).parents[1] / "models"
GIB = 1 << 30


def plan_with(tmp_path: Path, *transforms: dict[str, Any], spacing: float = 1.0, **arguments: Any) -> Any:
    """The plan of a 64×64×48 volume of `spacing` mm with 8 GiB free, while at most 128 MiB are allocated."""
    content = json.loads((resource_folder("config") / "config_inference.json").read_text())
    content["pre_transforms"] = [{"name": "LoadNifti", "args": {"fields": "image"}}, *transforms]
    content["inferer"]["args"] = {"model_name": "classes5", "roi_size": [32, 32, 32]} | arguments
    path = tmp_path / "config_inference.json"
    path.write_text(json.dumps(content))
    nib.save(nib.Nifti1Image(np.zeros((64, 64, 48), np.int16), np.diag([spacing] * 3 + [1.0])), tmp_path / "a.nii")
    tracemalloc.start()
    try:
        config = load_config(path, {})
        model = model_in_repository(MODELS, "classes5")
        assert model is not None
        settings = Settings.from_environment({}, config=path)
        inputs = RunInputs(settings, config, config.pipeline(), read_header([tmp_path / "a.nii"]))
        return make_plan(inputs, model, FreeMemory(host=8 * GIB))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 128 << 20


def to(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "args": {"fields": "image", **arguments}}


def test_a_spacing_wrong_by_a_unit(tmp_path: Path) -> None:
    # 12,800 · 12,800 · 9,600 voxels of float32 are 5,859.4 GiB
    with pytest.raises(ResourceError, match=r"64×64×48 becomes 12800×12800×9600 .* need 5859\.\d GiB") as refusal:
        plan_with(tmp_path, to("ScaleByResolution", target_resolution=[1, 1, 1]), spacing=200.0)
    assert "8.0 GiB are free" in str(refusal.value)


@pytest.mark.parametrize(
    ("transform", "found"),
    [
        (to("ScaleByResolution", target_resolution=[1e-5] * 3), "(6400000, 6400000, 4800000), 732421875000 GiB"),
        (to("ScaleByResolution", target_resolution=[5e-324] * 3), "more than 10^308 along an axis"),
        (to("ScaleByResolution", target_resolution=[1e-300] * 3), "(about 10^301, about 10^301, about 10^301)"),
        (to("ScaleBySpacing", target_spacing=[1e-9] * 3), "(64000000000, 64000000000, 48000000000)"),
        (to("ScaleByFactor", factor=1e308), "more than 10^308 along an axis"),
        (to("ScaleToShape", target_shape=[2**31 - 1] * 3), "expected at most 1048576 along an axis"),
        (to("SymmetricPadderDiv", div_int=10**9), "(1000000000, 1000000000, 1000000000), about 10^18 GiB"),
    ],
)
def test_targets_beyond_an_axis(tmp_path: Path, transform: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(found)) as refusal:
        plan_with(tmp_path, transform)
    assert transform["name"] in str(refusal.value)


def test_a_grid_just_below_the_limit_of_an_axis_is_refused_for_its_memory(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="becomes 1000000×1000000×1000000"):
        plan_with(tmp_path, to("ScaleToShape", target_shape=[10**6] * 3))


def test_windows_are_counted_in_the_plan(tmp_path: Path) -> None:
    # 64 · 64 · 48 windows of one voxel
    plan = plan_with(tmp_path, roi_size=[1, 1, 1])
    assert plan.grid.distinct_count == 196_608
    smaller = plan_with(tmp_path, roi_size=[32, 32, 32])
    assert plan.memory.sizes.program - smaller.memory.sizes.program > 196_608 * 300


def test_more_windows_than_memory_are_refused(tmp_path: Path) -> None:
    # 400³ windows of one voxel: 23 GiB of lists over 0.2 GiB of voxels
    with pytest.raises(ResourceError, match="becomes 400×400×400"):
        plan_with(tmp_path, to("ScaleToShape", target_shape=[400] * 3), roi_size=[1, 1, 1])


def test_a_window_of_any_size_is_refused_for_its_memory(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"need .* GiB"):
        plan_with(tmp_path, roi_size=[10**6] * 3)


@pytest.mark.parametrize("step_size", [1e-9, 5e-324])
def test_steps_of_no_size(step_size: float) -> None:
    with pytest.raises(ConfigError, match=r"step_size .*expected at most 1048576"):
        make_grid((64, 64, 48), (32, 32, 32), window_mode("nnunet", {"step_size": step_size}))


@pytest.mark.parametrize(
    ("shape", "mode"), [((300, 160, 512), "clara"), ((110, 64, 7), "nnunet"), ((99, 98, 97), "monai")]
)
def test_counts_are_those_of_the_lists(shape: tuple[int, int, int], mode: str) -> None:
    grid = make_grid(shape, (64, 32, 16), window_mode(mode))
    assert grid.distinct_count == len(grid.distinct)
    assert grid.window_count == len(grid.windows)


def test_lists_take_what_is_counted() -> None:
    grid = make_grid((120, 120, 120), (4, 4, 4), window_mode("nnunet", {"mirror_axes": (0,)}))
    tracemalloc.start()
    assert (grid.distinct, grid.visits) is not None
    assert len(grid.windows) == grid.window_count
    allocated = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert allocated < grid.list_bytes < 1.5 * allocated


def test_validate_warns_of_a_peak_beyond_the_machine(tmp_path: Path) -> None:
    content = json.loads((resource_folder("config") / "config_inference.json").read_text())
    target = to("ScaleToShape", target_shape=[10**6] * 3)
    content["pre_transforms"] = [{"name": "LoadNifti", "args": {"fields": "image"}}, target]
    content["inferer"]["args"] = {"model_name": "classes5", "roi_size": [1, 1, 1]}
    (tmp_path / "c.json").write_text(json.dumps(content))
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.int16), np.eye(4)), tmp_path / "a.nii")
    lines = dry_run.plan(Settings.from_environment({}, config=tmp_path / "c.json"), tmp_path / "a.nii", MODELS)
    assert any(line.startswith("warning: the peak is 3") and "this machine has" in line for line in lines), lines
