"""The lines and the refusals of `gpu-infer validate`, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from gpu_infer.errors import ConfigError, InputError, ModelError
from gpu_infer.planning.dry_run import plan
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder

MODELS = Path(__file__).parents[1] / "models"


def settings(tmp_path: Path, *, inferer: dict[str, Any] | None = None, **options: Any) -> Settings:
    content = json.loads((resource_folder("config") / "config_inference.json").read_text())
    content["inferer"]["args"] = {"model_name": "fixed_roi"} if inferer is None else inferer
    path = tmp_path / "config_inference.json"
    path.write_text(json.dumps(content))
    return Settings.from_environment({}, config=path, **options)


def volume(tmp_path: Path) -> Path:
    image = nib.Nifti1Image(np.zeros((20, 21, 22), np.int16), np.diag([0.8, 0.8, 5.0, 1.0]))
    nib.save(image, tmp_path / "a.nii")
    return tmp_path / "a.nii"


def test_a_mode_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clarra"):
        plan(settings(tmp_path, mode="clarra"), None)


def test_a_repository_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--models: no folder .*nowhere"):
        plan(settings(tmp_path), None, tmp_path / "nowhere")


def test_a_model_file_is_no_repository(tmp_path: Path) -> None:
    file = tmp_path / "my_model.onnx"
    file.touch()
    with pytest.raises(ConfigError) as caught:
        plan(settings(tmp_path), None, file)
    assert str(caught.value) == (
        f"--models: {file} is a file, expected a folder with one folder per model (gpu-infer models add NAME "
        f"--onnx {file} makes the folder models, to give here)"
    )


def test_a_model_that_the_named_repository_lacks(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model nothing: no .*nothing/config.pbtxt .*fixed_roi"):
        plan(settings(tmp_path, model_name="nothing"), None, MODELS)


def test_without_a_repository_windows_are_not_known(tmp_path: Path) -> None:
    lines = plan(settings(tmp_path), volume(tmp_path))
    assert "model fixed_roi: no config.pbtxt at hand (--models), so windows and peak memory are not known" in lines
    assert not [line for line in lines if line.startswith("peak")]


def test_data_files_elsewhere_need_the_option(tmp_path: Path) -> None:
    (tmp_path / "v.raw").write_bytes(bytes(20 * 21 * 22))
    (tmp_path / "in").mkdir()
    path = tmp_path / "in/v.mhd"
    path.write_text("NDims = 3\nDimSize = 20 21 22\nElementType = MET_UCHAR\nElementDataFile = ../v.raw\n")
    with pytest.raises(InputError, match="--allow-foreign-data-files"):
        plan(settings(tmp_path), path)
    assert any("20×21×22" in line for line in plan(settings(tmp_path, allow_foreign_data_files=True), path))


def test_no_model_is_named(tmp_path: Path) -> None:
    expected = f"warning: {tmp_path}/config_inference.json: inferer.args.model_name is missing: the run needs --model"
    assert expected in plan(settings(tmp_path, inferer={}), None)
    assert expected in plan(settings(tmp_path, inferer={}), volume(tmp_path))


def test_windows_and_memory_of_a_volume(tmp_path: Path) -> None:
    lines = plan(settings(tmp_path), volume(tmp_path), MODELS)
    assert any("1×20×21×22 int16 -> 1×20×21×22 float32" in line for line in lines)
    assert any(line.startswith("peak") and line.endswith("MiB") for line in lines)


def test_the_windows_of_several_models(tmp_path: Path) -> None:
    entries = [{"model_name": "classes5", "offset": 0}, {"model_name": "fixed_roi", "labels": [9]}]
    args = {"models": entries, "combine": "union", "roi_size": [16, 16, 16]}
    lines = plan(settings(tmp_path, inferer=args), volume(tmp_path), MODELS)
    at = lines.index("labels of 2 models are united, one pass over the volume each")
    assert lines[at + 1] == "model classes5 version 1: 1 → 5 channels, FP32"
    assert lines[at + 3] == "model fixed_roi version 1: 1 → 2 channels, FP32"
    assert {"labels of model classes5: n -> n", "labels of model fixed_roi: 1 -> 9"} < set(lines)
    mean = {"models": ["classes5", {"model_name": "fixed_roi", "weight": 3}], "roi_size": [16, 16, 16]}
    lines = plan(settings(tmp_path, inferer=mean), None, MODELS)
    assert lines[-2:] == ["scores of model classes5: weight 0.25", "scores of model fixed_roi: weight 0.75"]
    with pytest.raises(ModelError, match=r"model nothing: no .*nothing/config.pbtxt"):
        plan(settings(tmp_path, inferer={"models": ["classes5", "nothing"]}), None, MODELS)
    with pytest.raises(ConfigError, match="--model classes5: the configuration lists 2 models"):
        plan(settings(tmp_path, inferer=args, model_name="classes5"), None, MODELS)
