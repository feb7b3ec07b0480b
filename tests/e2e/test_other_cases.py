"""Runs of several cases that share folders: no file of another case is lost, and no output is taken for an input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import InputError, ModelError

pytestmark = pytest.mark.slow

CONTENT = config("threshold_half", roi_size=[8, 8, 8])


def volume(path: Path) -> Path:
    return write_nifti(path, np.random.default_rng(1).random((9, 8, 7), dtype=np.float32), np.diag([-1, -1, 1, 1.0]))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix not in (".mhd", ".raw", ".log")}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_two_cases_in_the_same_folders(tmp_path: Path, triton_server: Any) -> None:
    a, b = (volume(tmp_path / "input" / f"{name}.nii") for name in "ab")
    shared = {"publish": tmp_path / "publish", "page": False, "preview": True}
    first = operate(tmp_path, triton_server, CONTENT, input=a, **shared)
    second = operate(tmp_path, triton_server, CONTENT, input=b, **shared)
    assert (first.data["case"], second.data["case"]) == ("a", "b")
    assert files(tmp_path / "output") == {"a.preview.png", "b.preview.png"}
    assert files(tmp_path / "logs") == {"report.json", "a.report.json"}
    assert read(tmp_path / "logs/a.report.json") == json.loads(json.dumps(first.data, default=str))
    assert read(tmp_path / "logs/report.json")["input"]["path"] == str(b)
    both = {"config.meta", "config_render.json"}
    assert files(tmp_path / "publish") == {"a.nii", "b.nii", *both, *(f"a.{name}" for name in both)}
    meta = read(tmp_path / "publish/a.config.meta")
    assert all((tmp_path / "publish" / name).is_file() for name in (meta["density"], *meta["seg_masks"]))

    published = {path: path.stat().st_mtime_ns for path in (tmp_path / "publish").iterdir()}
    with pytest.raises(ModelError):
        operate(tmp_path, triton_server, config("fails", roi_size=[8, 8, 8]), input=a, **shared)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "publish").iterdir()} == published
    assert (read(tmp_path / "logs/report.json")["status"], read(tmp_path / "logs/report.json")["case"]) == (
        "failed",
        "a",
    )
    assert read(tmp_path / "logs/b.report.json")["status"] == "done"
    assert files(tmp_path / "logs") == {"report.json", "a.report.json", "b.report.json"}
    assert read(tmp_path / "logs/a.report.json")["status"] == "done", "its label map is still there"


def test_a_folder_with_several_volumes(tmp_path: Path, triton_server: Any) -> None:
    for name in "ab":
        volume(tmp_path / "input" / f"{name}.nii")
    with pytest.raises(
        InputError, match=r"input: found 2 volumes, expected one: a\.nii, b\.nii \(give the file; --first"
    ):
        operate(tmp_path, triton_server, CONTENT)
    result = operate(tmp_path, triton_server, CONTENT, first=True)
    note = "the first of 2 volumes in the folder, the others are not read: b.nii"
    assert read(tmp_path / "logs/report.json")["warnings"] == [note]
    assert result.output == tmp_path / "output/a.mhd"


@pytest.mark.parametrize("form", ["mhd", "nrrd"])
def test_an_input_folder_that_is_the_output_folder(tmp_path: Path, triton_server: Any, form: str) -> None:
    source = volume(tmp_path / "scans" / "z.nii")
    folders = dict.fromkeys(("input", "output", "logs"), tmp_path / "scans")
    for _ in range(3):
        result = operate(
            tmp_path, triton_server, CONTENT, formats=(form,), scores="1", scores_activation="none", **folders
        )
        assert result.data["input"]["path"] == str(source)
        assert result.label_maps == [tmp_path / "scans" / f"z.{form}"]
