"""What a run refuses, writes and records for a series in index space."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_source import blobs, irregular_places, write_study
from planned_runs import inputs_of, model_of
from pydicom import dcmread

from gpu_infer.config.load import load_config
from gpu_infer.doctor.volume import check_input
from gpu_infer.errors import ConfigError, InputError
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.report import Report
from gpu_infer.results.dicom import check_dicom_options, dicom_source, write_dicom
from gpu_infer.results.index_space import check_index_space, without_places
from gpu_infer.results.label_maps import check_grid, least_bytes, write_labels
from gpu_infer.results.places import output_places
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.open_input import InputOptions, open_input
from gpu_infer.volume.read import read_voxels

SHAPE = (24, 20, 12)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series") / "ct"
    return write_study(folder, SHAPE, places=irregular_places("tilted", SHAPE[2]))


def header_of(folder: Path) -> VolumeHeader:
    with open_input(folder, InputOptions(tilt="index")) as header:
        return header


def settings_of(folder: Path, **options: Any) -> Settings:
    return Settings.from_environment({}, **{"output": folder, "publish": "", "tilt": "index", **options})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"formats": ("nii.gz",)}, "--format"),
        ({"formats": ("mhd", "nrrd")}, "--format"),
        ({"publish": "p"}, "--publish"),
        ({"publish": "p", "page": True}, "--publish, --page"),
        ({"preview": True}, "--preview"),
        ({"plain_preview": True}, "--plain-preview"),
        ({"statistics": True}, "--statistics"),
        ({"scores": "all"}, "--scores"),
        ({"uncertainty": True}, "--uncertainty"),
        ({"dicom_sr": True}, "--dicom-sr"),
        ({"rtstruct": True, "statistics": True}, "--statistics, --rtstruct"),
    ],
)
def test_outputs_that_need_a_grid_are_refused_by_name(
    tmp_path: Path, series: Path, options: dict[str, Any], named: str
) -> None:
    settings = settings_of(tmp_path, dicom_seg="auto", **options)
    with pytest.raises(ConfigError) as caught:
        check_index_space(settings, header_of(series))
    text = str(caught.value)
    assert f"found {named}, expected --dicom-seg and --dicom-sc alone" in text
    assert f"leave {named} out" in text
    assert text.startswith(f"{series}: --tilt index: no regular grid (gantry tilt of 18.00°: slices shift by 4.47 mm")
    assert ("--publish '' publishes nothing" in text) == ("publish" in options)


def test_the_file_of_a_label_map_is_refused(tmp_path: Path, series: Path) -> None:
    settings = settings_of(tmp_path / "lungs.nii.gz", dicom_seg="auto")
    with pytest.raises(ConfigError, match="found --output with the name of a file, expected"):
        check_index_space(settings, header_of(series))


def test_a_run_without_a_dicom_output_would_write_nothing(tmp_path: Path, series: Path) -> None:
    with pytest.raises(ConfigError, match=r"no label map is written, expected a DICOM output \(add --dicom-seg auto"):
        check_index_space(settings_of(tmp_path), header_of(series))
    check_index_space(settings_of(tmp_path, dicom_sc=True), header_of(series))
    check_index_space(settings_of(tmp_path, dicom_seg="binary", dicom_sc=True), header_of(series))


def test_on_a_regular_series_everything_is_written_as_without_the_option(tmp_path: Path) -> None:
    header = header_of(write_study(tmp_path / "ct", SHAPE))
    settings = settings_of(tmp_path, formats=("nii.gz",), statistics=True, publish="p")
    check_index_space(settings, header)
    config = inputs_of(tmp_path, SHAPE).config
    paths = [place.path.name for place in output_places(settings, config, header)]
    assert paths == ["ct.nii.gz", "ct.statistics.csv"]


def test_no_label_map_is_written_or_planned(tmp_path: Path, series: Path) -> None:
    voxels = blobs(SHAPE, [1])
    (tmp_path / "out").mkdir()
    options = {"output": tmp_path / "out", "tilt": "index", "dicom_seg": "auto"}
    inputs = inputs_of(tmp_path, SHAPE, options=options)
    inputs = replace(inputs, header=header_of(series))
    assert [place.path.name for place in output_places(inputs.settings, inputs.config, inputs.header)] == ["ct.seg.dcm"]
    assert least_bytes(inputs.settings, inputs.config, inputs.header) == 0
    assert check_grid(inputs.settings, inputs.config, inputs.header) == []
    plan, volume = make_plan(inputs, model_of(2, SHAPE)), read_voxels(inputs.header)
    counts = np.bincount(voxels.ravel()).tolist()
    segmentation, report = Segmentation({"model": voxels}, {"model": counts}, {}, plan), Report()
    assert write_labels(segmentation, volume, report) == {"model": {}}
    assert report.data["output"] == {"files": [], "dtype": "uint8"}
    assert report.data["labels"]["1"] == {"voxels": counts[1], "ml": None}
    assert list((tmp_path / "out").iterdir()) == []
    files = write_dicom(segmentation, volume, dicom_source(inputs.settings, inputs.header), report)
    assert files == [tmp_path / "out/ct.seg.dcm"]
    assert dcmread(files[0]).SegmentSequence[0].TrackingID == "label 1"


def test_an_empty_result_names_the_field(tmp_path: Path, series: Path) -> None:
    inputs = inputs_of(tmp_path, SHAPE, options={"tilt": "index", "dicom_seg": "auto"})
    inputs = replace(inputs, header=header_of(series))
    plan, volume, report = make_plan(inputs, model_of(2, SHAPE)), read_voxels(inputs.header), Report()
    voxels = np.zeros(SHAPE, np.uint8)
    write_labels(Segmentation({"model": voxels}, {"model": [voxels.size]}, {}, plan), volume, report)
    assert report.data["warnings"][0].startswith("label map model: every voxel is 0")


def test_points_have_indices_and_no_coordinates() -> None:
    point = {"end": "x_min", "index": [1, 2, 3], "ras_mm": [4.0, 5.0, 6.0]}
    facts = {"points": {"lung": [point]}, "other": 1}
    assert without_places(facts) == {"points": {"lung": [{**point, "ras_mm": None}]}, "other": 1}
    assert without_places({"other": 1}) == {"other": 1}
    assert point["ras_mm"] == [4.0, 5.0, 6.0]


def test_the_option_contradicts_a_reference(tmp_path: Path, series: Path) -> None:
    settings = settings_of(tmp_path, dicom_seg="auto", dicom_reference=series)
    with pytest.raises(ConfigError, match="--tilt index contradicts --dicom-reference"):
        check_dicom_options(settings, load_config(settings.config, {}))


def test_an_irregular_reference_is_refused_with_a_remedy(tmp_path: Path, series: Path) -> None:
    settings = settings_of(tmp_path, dicom_seg="auto", dicom_reference=series, tilt="refuse")
    with pytest.raises(InputError, match=r"^--dicom-reference .*gantry tilt .*give it as --input, with --tilt index"):
        dicom_source(settings, inputs_of(tmp_path, SHAPE).header)


def test_doctor_finds_what_a_run_refuses(tmp_path: Path, series: Path) -> None:
    used = settings_of(tmp_path, input=series, statistics=True)
    _, (check,) = check_input(used, load_config(used.config, {}))
    assert (check.status, check.exit_code) == ("fail", 2)
    assert "found --statistics, expected" in check.found
    used = settings_of(tmp_path, input=series, dicom_sc=True)
    header, checks = check_input(used, load_config(used.config, {}))
    assert header is not None
    assert [check.status for check in checks] == ["ok", "warn"]
    assert "segmented in index space" in checks[1].found


def test_the_option_is_for_a_series(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(InputError, match="--tilt index is about the slices of a DICOM series, found another file"):
        header_of(tmp_path / "a.nii")
    write_study(tmp_path / "ct", SHAPE)
    with caplog.at_level(logging.INFO):
        assert header_of(tmp_path / "ct").index_space is None
    assert "the slices are a regular grid, on which --tilt index changes nothing" in caplog.text


def test_an_irregular_series_of_a_study_is_taken_with_the_option(tmp_path: Path, series: Path) -> None:
    study = tmp_path / "study"
    write_study(study / "one", (24, 20, 3), SeriesInstanceUID="1.2.3")
    write_study(study / "two", SHAPE, places=irregular_places("gap", SHAPE[2]))
    with open_input(study, InputOptions()) as header:
        assert header.geometry.shape == (24, 20, 3)
        assert "series 2 (CT, 12 files) was not considered: two: 1 slices missing" in header.warnings[0]
    with (
        pytest.raises(InputError, match="2 of them are volumes: 1: CT, 3 slices; 2: CT, 12 slices"),
        open_input(study, InputOptions(tilt="index")),
    ):
        pass
    from gpu_infer.volume.series_rules import series_of_option

    with open_input(study, InputOptions(series=series_of_option("2"), tilt="index")) as header:
        assert header.index_space is not None
        assert header.describe()["index_space"] == header.index_space.reason
    with (
        pytest.raises(InputError, match=r"series 2 cannot be used: .*add --tilt index"),
        open_input(study, InputOptions(series=series_of_option("2"))),
    ):
        pass
