"""What a run writes after the inference: a failure there is a warning, but for an interruption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planned_runs import inputs_of, model_of

from gpu_infer.config.config import Output
from gpu_infer.errors import ConfigError, Interrupted
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.report import Report
from gpu_infer.results.label_maps import check_grid, check_one_file, label_map_formats, write_labels
from gpu_infer.results.preview import write_previews
from gpu_infer.results.publish import publish_results, render_settings
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume

SHAPE = (6, 5, 4)


def segmentation_of(folder: Path, **options: Any) -> tuple[Segmentation, Volume]:
    (folder / "out").mkdir()
    inputs = inputs_of(folder, SHAPE, options={"output": folder / "out", **options})
    plan = make_plan(inputs, model_of(2, SHAPE))
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 2, 3] = 1
    volume = Volume(np.zeros((1, *SHAPE), np.uint8), inputs.header.geometry, Path("volume.nrrd"), "nrrd")
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


def test_a_label_map_without_labels_is_a_warning(tmp_path: Path) -> None:
    segmentation, volume = segmentation_of(tmp_path)
    report = Report()
    write_labels(replace(segmentation, counts={"model": [120]}), volume, report)
    assert report.data["warnings"] == [
        "label map volume.mhd: every voxel is 0 (if that is unexpected, compare pre_transforms with the training of "
        "the model: spacing, intensity range, orientation)"
    ]


def test_formats_of_the_options_count_before_the_default(tmp_path: Path) -> None:
    segmentation, volume = segmentation_of(tmp_path, formats=["nii.gz", "seg.nrrd"], output_name="named")
    report = Report()
    written = write_labels(segmentation, volume, report)
    nifti, nrrd = tmp_path / "out/named.nii.gz", tmp_path / "out/named.seg.nrrd"
    assert written == {"model": {"nii.gz": [nifti], "seg.nrrd": [nrrd]}}
    assert sorted((tmp_path / "out").iterdir()) == [nifti, nrrd]
    assert report.data["output"] == {
        "files": [{"format": "nii.gz", "path": str(nifti)}, {"format": "seg.nrrd", "path": str(nrrd)}],
        "dtype": "uint8",
    }


def test_formats_of_the_configuration_count_before_the_default(tmp_path: Path) -> None:
    settings, header = Settings(Path("in"), tmp_path), inputs_of(tmp_path, SHAPE).header
    output = Output("model", np.dtype(np.uint8), ("nrrd", "mha"))
    assert label_map_formats(settings, output, header) == ("nrrd", "mha")
    assert label_map_formats(replace(settings, formats=("nii",)), output, header) == ("nii",)
    assert label_map_formats(settings, replace(output, formats=()), header) == ("mhd",)


def test_a_file_for_several_label_maps_is_refused(tmp_path: Path) -> None:
    segmentation, _ = segmentation_of(tmp_path)
    config = segmentation.plan.inputs.config
    two = replace(config, outputs=tuple(Output(name, np.dtype(np.uint8)) for name in ("lung", "liver")))
    settings = Settings(Path("in"), tmp_path / "ct.nii")
    check_one_file(settings, config)
    check_one_file(Settings(Path("in"), tmp_path), two)
    with pytest.raises(ConfigError, match=r"--output: found the name of one file, 'ct', .* label maps lung, liver"):
        check_one_file(settings, two)


def test_a_grid_that_a_format_cannot_contain_is_refused_before_the_inference(tmp_path: Path) -> None:
    segmentation, _ = segmentation_of(tmp_path, formats=["nii", "seg.nrrd"])
    inputs = segmentation.plan.inputs
    assert check_grid(inputs.settings, inputs.config, inputs.header) == []
    one = replace(inputs.header, geometry=Geometry((1, 1, 1), np.eye(4)))
    with pytest.raises(
        ConfigError, match=r"volume\.nii: cannot be segmented into a \.seg\.nrrd: a grid of 1×1×1 voxels"
    ):
        check_grid(inputs.settings, inputs.config, one)


def test_grids_that_itk_does_not_read_from_nifti_are_warned_of(tmp_path: Path) -> None:
    segmentation, _ = segmentation_of(tmp_path, formats=["nii", "nrrd", "nii.gz"])
    inputs = segmentation.plan.inputs
    affine = np.eye(4)
    affine[0, 1] = 0.2
    sheared = replace(inputs.header, geometry=Geometry(SHAPE, affine))
    remark = "the axes are sheared, and ITK does not read sheared axes from NIfTI"
    expected = [f"label map as .nii: {remark}", f"label map as .nii.gz: {remark}"]
    assert check_grid(inputs.settings, inputs.config, sheared) == expected
    long = replace(inputs.header, geometry=Geometry((32768, 1, 1), np.eye(4)))
    remark = "NIfTI-1 cannot contain this grid, and ITK does not read NIfTI-2"
    expected = [f"label map as .nii: {remark}", f"label map as .nii.gz: {remark}"]
    assert check_grid(inputs.settings, inputs.config, long) == expected


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_published_label_maps_do_not_depend_on_the_formats(tmp_path: Path, dtype: str) -> None:
    contents = []
    for name, formats in (("with", ["mhd"]), ("without", ["nii.gz", "nrrd"])):
        (tmp_path / name).mkdir()
        options = {"publish": tmp_path / name / "pub", "formats": formats}
        segmentation, volume = segmentation_of(tmp_path / name, **options)
        inputs = segmentation.plan.inputs
        config = replace(inputs.config, outputs=(Output("model", np.dtype(dtype)),))
        plan = replace(segmentation.plan, inputs=replace(inputs, config=config))
        segmentation = replace(segmentation, plan=plan)
        source = tmp_path / name / "volume.nrrd"
        source.write_bytes(b"voxels")
        volume = replace(volume, path=source, format="nrrd")
        report = Report()
        written = write_labels(segmentation, volume, report)
        files = publish_results(segmentation, volume, written, report)
        assert report.data["warnings"] == []
        contents.append({file.name: file.read_bytes() for file in files})
    assert contents[0] == contents[1]
    assert "volume.out.mhd" in contents[0]


def test_without_the_options_nothing_more_is_written(tmp_path: Path) -> None:
    segmentation, volume = segmentation_of(tmp_path)
    report = Report()
    assert publish_results(segmentation, volume, {}, report) == []
    assert write_previews(segmentation, volume, report) == []
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

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("gpu_infer.writers.preview.write_preview", fail)
    if isinstance(error, Interrupted):
        with pytest.raises(Interrupted):
            write_previews(segmentation, volume, report)
        return
    assert write_previews(segmentation, volume, report) == []
    assert report.data["warnings"] == [f"preview {tmp_path / 'out' / 'volume.preview.png'} failed: disk"]


def test_render_settings_next_to_the_configuration_win(tmp_path: Path) -> None:
    assert render_settings(tmp_path / "config.json") is None
    (tmp_path / "config_render.json").write_text("{}")
    assert render_settings(tmp_path / "config.json") == tmp_path / "config_render.json"


def test_packaged_render_settings_next_to_another_configuration_do_not_count(tmp_path: Path) -> None:
    """A derived image has them: its model has other labels."""
    packaged = resource_folder("config") / "config_render.json"
    (tmp_path / "config_render.json").write_bytes(packaged.read_bytes())
    assert render_settings(tmp_path / "config.json") is None


def test_without_render_settings_they_are_made_for_the_labels(tmp_path: Path) -> None:
    segmentation, volume = segmentation_of(tmp_path, publish=tmp_path / "publish")
    report = Report()
    written = write_labels(segmentation, volume, report)
    for _ in range(2):  # a second run replaces them
        assert publish_results(segmentation, volume, written, report)
    content = json.loads((tmp_path / "publish" / "config_render.json").read_text())
    assert [part["activeRegions"] for part in content["TransferFunction"]["components"]] == [[0], [1]]
