"""What a run writes after the inference: a failure there is a warning, but for an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planned_runs import inputs_of, model_of

from gpu_infer.errors import Interrupted
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.report import Report
from gpu_infer.results.label_maps import write_labels
from gpu_infer.results.preview import write_preview
from gpu_infer.results.publish import publish_results, render_settings
from gpu_infer.segment import Segmentation
from gpu_infer.volume.volume import Volume

SHAPE = (6, 5, 4)


def segmentation_of(folder: Path, **options: Any) -> tuple[Segmentation, Volume]:
    (folder / "out").mkdir()
    inputs = inputs_of(folder, SHAPE, options={"output": folder / "out", **options})
    plan = make_plan(inputs, model_of(2, SHAPE))
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 2, 3] = 1
    volume = Volume(np.zeros((1, *SHAPE), np.uint8), inputs.header.geometry, Path("volume.nii"), "nifti")
    return Segmentation({"model": labels}, {"model": [119, 1]}, {}, plan), volume


def test_label_maps_are_written_and_recorded(tmp_path: Path) -> None:
    segmentation, volume = segmentation_of(tmp_path)
    report = Report()
    written = write_labels(segmentation, volume, report)
    assert written == {"model": {"mhd": [tmp_path / "out/volume.mhd", tmp_path / "out/volume.raw"]}}
    voxels = np.frombuffer((tmp_path / "out/volume.raw").read_bytes(), np.uint8).reshape(SHAPE[::-1])
    np.testing.assert_array_equal(voxels.transpose(2, 1, 0), segmentation.labels["model"])
    assert report.data["labels"] == {"0": {"voxels": 119, "ml": 0.119}, "1": {"voxels": 1, "ml": 0.001}}
    assert list(report.data["stages"]) == ["write"]


def test_without_the_options_nothing_more_is_written(tmp_path: Path) -> None:
    segmentation, volume = segmentation_of(tmp_path)
    report = Report()
    assert publish_results(segmentation, volume, {}, report) == []
    assert write_preview(segmentation, volume, report) is None
    assert "published" not in report.data
    assert list(tmp_path.joinpath("out").iterdir()) == []


def test_a_failure_to_publish_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    segmentation, volume = segmentation_of(tmp_path, publish=tmp_path / "file" / "folder")
    report = Report()
    written = write_labels(segmentation, volume, report)
    assert publish_results(segmentation, volume, written, report) == []
    assert report.data["published"] == []
    assert report.data["warnings"][0].startswith(f"publishing to {tmp_path / 'file' / 'folder'} failed: ")
    assert "publish" in report.data["stages"]


@pytest.mark.parametrize("error", [OSError("disk"), Interrupted("SIGTERM")])
def test_a_preview_that_fails_is_a_warning_unless_the_run_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    segmentation, volume = segmentation_of(tmp_path, preview=True)
    report = Report()

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("gpu_infer.writers.preview.write_preview", fail)
    if isinstance(error, Interrupted):
        with pytest.raises(Interrupted):
            write_preview(segmentation, volume, report)
        return
    assert write_preview(segmentation, volume, report) is None
    assert report.data["warnings"] == [f"preview {tmp_path / 'out' / 'preview.png'} failed: disk"]


def test_render_settings_next_to_the_configuration_win(tmp_path: Path) -> None:
    packaged = render_settings(tmp_path / "config.json")
    assert packaged.is_file()
    (tmp_path / "config_render.json").write_text("{}")
    assert render_settings(tmp_path / "config.json") == tmp_path / "config_render.json"
