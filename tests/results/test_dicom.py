"""DICOM files of a run: what is refused before the inference, what is written, recorded and sent."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from dicom_source import AXIAL, OBLIQUE, blobs, write_enhanced_study, write_study
from numpy.typing import NDArray
from planned_runs import inputs_of, model_of
from pydicom import dcmread

from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError, InputError, ServerError
from gpu_infer.label_table.table import Code, Label, LabelTable
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.report import Report
from gpu_infer.results.dicom import check_dicom_options, dicom_places, dicom_source, write_dicom
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.volume.geometry import Geometry, Orientation
from gpu_infer.volume.read import read_header, read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.collisions import check_outputs

SHAPE = (24, 20, 12)


def settings_of(folder: Path, **options: Any) -> Settings:
    folder.mkdir(exist_ok=True)
    return Settings.from_environment({}, output=folder, publish="", **options)


def check(folder: Path, labels: LabelTable | None = None, **options: Any) -> None:
    settings = settings_of(folder, **options)
    config = load_config(settings.config, {})
    check_dicom_options(settings, config if labels is None else replace(config, labels=labels))


def segmentation_of(
    folder: Path, path: Path, voxels: NDArray[np.uint8], **options: Any
) -> tuple[Segmentation, Volume, Any]:
    """A segmentation of the volume at `path`, and the source of its DICOM files."""
    (folder / "out").mkdir(exist_ok=True)
    inputs = inputs_of(folder, voxels.shape, options={"output": folder / "out", **options})  # type: ignore[arg-type]
    plan = make_plan(inputs, model_of(2, voxels.shape))  # type: ignore[arg-type]
    source = dicom_source(inputs.settings, read_header([path]))
    counts = np.bincount(voxels.ravel()).tolist()
    return Segmentation({"model": voxels}, {"model": counts}, {}, plan), read_volume(path), source


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dicom_reference": Path("x")}, "--dicom-reference needs a DICOM output"),
        ({"send": "A@b:104"}, "--send needs a DICOM output"),
        ({"dicom_sr": True}, "--dicom-sr needs --dicom-seg"),
        ({"dicom_sr": True, "rtstruct": True}, "--dicom-sr needs --dicom-seg"),
        ({"rtstruct": True, "send": "nowhere"}, "--send: found 'nowhere'"),
    ],
)
def test_options_that_cannot_be_meant(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(tmp_path, **options)


def test_options_that_can(tmp_path: Path) -> None:
    check(tmp_path)
    check(tmp_path, dicom_seg="auto", dicom_sr=True, dicom_sc=True, rtstruct=True, send="http://host/dicom-web")


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_infer.results.dicom.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"need highdicom, which is not installed \(pip install 'gpu-infer\[dicom\]'"):
        check(tmp_path, dicom_seg="auto")
    check(tmp_path)


def test_a_coding_scheme_that_dicom_cannot_write(tmp_path: Path) -> None:
    label = Label(1, "lung", (1, 2, 3), type=Code("1", "x" * 17, "Lung"))
    with pytest.raises(ConfigError, match=r"label 1: scheme 'x+', expected at most 16 characters"):
        check(tmp_path, LabelTable({1: label}, "labels.json"), dicom_seg="auto")


def test_a_volume_without_headers_needs_a_reference(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "a.nii")
    settings = settings_of(tmp_path / "out", dicom_seg="auto")
    with pytest.raises(InputError, match=r"need the headers of a series, found nifti .*--dicom-reference"):
        dicom_source(settings, read_header([tmp_path / "a.nii"]))


def test_channels_of_several_series_need_a_reference(tmp_path: Path) -> None:
    folders = tuple(write_study(tmp_path / name, SHAPE) for name in ("t1", "t2"))
    settings = replace(settings_of(tmp_path / "out", dicom_seg="auto"), input=folders[0], channels=folders)
    with pytest.raises(InputError, match=r"t1: DICOM outputs belong to one series, found 2 inputs .*--dicom-reference"):
        dicom_source(settings, read_header(folders))
    assert dicom_source(replace(settings, dicom_reference=folders[0]), read_header(folders)) is not None


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID"])
def test_a_series_without_an_identifier_is_refused(tmp_path: Path, keyword: str) -> None:
    series = write_study(tmp_path / "ct", SHAPE, **{keyword: None})
    settings = settings_of(tmp_path / "out", dicom_seg="auto")
    with pytest.raises(InputError, match=rf"CT\d+.dcm: no {keyword}, expected one"):
        dicom_source(settings, read_header([series]))


def test_files_are_written_and_recorded(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1, 5])
    options = {"dicom_seg": "auto", "dicom_sr": True, "dicom_sc": True, "rtstruct": True}
    segmentation, volume, source = segmentation_of(tmp_path, series, voxels, **options)
    report, out = Report(), tmp_path / "out"
    files = write_dicom(segmentation, volume, source, report)
    names = [
        "volume.seg.dcm",
        "volume.sr.dcm",
        "volume.rtstruct.dcm",
        *(f"volume.sc/{n:04d}.dcm" for n in range(1, 13)),
    ]
    assert files == [out / name for name in names]
    assert report.data["dicom"] == {"files": [str(file) for file in files], "empty": []}
    assert "dicom" in report.data["stages"]
    assert sorted(path.name for path in out.iterdir()) == [
        "volume.rtstruct.dcm",
        "volume.sc",
        "volume.seg.dcm",
        "volume.sr.dcm",
    ]
    assert [dcmread(file).SeriesNumber for file in files[:4]] == [300, 302, 303, 301]


def test_without_the_options_nothing_is_written(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1])
    segmentation, volume, source = segmentation_of(tmp_path, series, voxels)
    report = Report()
    assert source is None
    assert write_dicom(segmentation, volume, source, report) == []
    assert "dicom" not in report.data
    assert list((tmp_path / "out").iterdir()) == []


def test_an_empty_result_has_no_files_and_removes_older_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    series = write_study(tmp_path / "ct", SHAPE)
    options = {"dicom_seg": "auto", "dicom_sc": True}
    write_dicom(*segmentation_of(tmp_path, series, blobs(SHAPE, [1]), **options), Report())
    (tmp_path / "out/volume.sc/notes.txt").write_text("of a user")
    report = Report()
    with caplog.at_level(logging.INFO):
        files = write_dicom(*segmentation_of(tmp_path, series, np.zeros(SHAPE, np.uint8), **options), report)
    assert files == []
    assert report.data["dicom"] == {"files": [], "empty": ["model"]}
    assert "no label in 'model'" in caplog.text
    assert [path.name for path in (tmp_path / "out").rglob("*.*") if path.is_file()] == ["notes.txt"]


def test_older_outputs_are_replaced_and_files_of_others_are_not(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1])
    options = {"dicom_seg": "auto", "dicom_sc": True}
    segmentation, volume, source = segmentation_of(tmp_path, series, voxels, **options)
    first = write_dicom(segmentation, volume, source, Report())
    uids = [dcmread(file).SOPInstanceUID for file in first]
    settings, header = segmentation.plan.inputs.settings, replace(read_header([series]), case="volume")
    places = dicom_places(settings, segmentation.plan.inputs.config, header)
    assert [place.path for place in places] == first
    check_outputs(header.files, settings.output, places)
    second = write_dicom(segmentation, volume, source, Report())
    assert second == first
    assert not {dcmread(file).SOPInstanceUID for file in second} & set(uids)
    first[0].write_bytes(next(series.iterdir()).read_bytes())
    with pytest.raises(ConfigError, match="found a file of another program, expected none or a DICOM file"):
        check_outputs(header.files, settings.output, places)
    with pytest.raises(ConfigError, match="found a file of another program"):
        write_dicom(segmentation, volume, source, Report())


def _nifti(folder: Path, series: Path, orientation: Orientation, shift_mm: float = 0.0) -> tuple[Path, Geometry]:
    """The series as a NIfTI with its axes in another order and direction."""
    volume = read_volume(series)
    geometry = volume.geometry.reoriented(orientation)
    affine = geometry.affine.copy()
    affine[:3, 3] += shift_mm
    path = folder / "volume.nii.gz"
    nib.save(nib.Nifti1Image(np.ascontiguousarray(orientation.view(volume.data[0])), affine), path)
    return path, geometry


TURNS = [
    Orientation((0, 1, 2), (False, False, False)),
    Orientation((0, 1, 2), (True, False, True)),
    Orientation((2, 0, 1), (False, True, True)),
    Orientation((1, 2, 0), (True, True, False)),
]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("enhanced", [False, True])
def test_labels_of_a_nifti_input_come_back_on_the_reference(tmp_path: Path, turn: Orientation, enhanced: bool) -> None:
    order = [*range(5, -1, -1), *range(6, 12)]
    series = write_enhanced_study(tmp_path / "ct", SHAPE, order) if enhanced else write_study(tmp_path / "ct", SHAPE)
    path, geometry = _nifti(tmp_path, series, turn)
    on_series = blobs(SHAPE, [1, 5])
    voxels = np.ascontiguousarray(turn.view(on_series))
    assert voxels.shape == geometry.shape
    options = {"dicom_seg": "labelmap", "dicom_sc": True, "dicom_reference": series}
    segmentation, volume, source = segmentation_of(tmp_path, path, voxels, **options)
    files = write_dicom(segmentation, volume, source, Report())
    seg = dcmread(files[0])
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    along = [
        float(np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float) @ normal)
        for groups in seg.PerFrameFunctionalGroupsSequence
    ]
    frames = seg.pixel_array[np.argsort(along)]
    np.testing.assert_array_equal(frames, on_series.transpose(2, 1, 0)[1:])  # slice 0 has no label
    pictures = np.stack([dcmread(file).pixel_array for file in files[1:]])
    coloured = (pictures != pictures[..., :1]).any(axis=-1)
    np.testing.assert_array_equal(coloured, on_series.transpose(2, 1, 0) != 0)


def test_a_reference_of_another_grid_is_refused(tmp_path: Path) -> None:
    series, other = write_study(tmp_path / "ct", SHAPE), write_study(tmp_path / "other", (24, 20, 11))
    turned = write_study(tmp_path / "turned", SHAPE, AXIAL)
    path, _ = _nifti(tmp_path, series, TURNS[1])
    header = read_header([path])
    for reference, message in (
        (other, "grid of 24×20×11, expected 24×20×12 as in"),
        (turned, r"corners are [\d.]+ mm from those of .*, expected at most 0.1 mm"),
        (tmp_path / "none", "no such folder"),
    ):
        settings = settings_of(tmp_path / "out", dicom_seg="auto", dicom_reference=reference)
        with pytest.raises(InputError, match=message):
            dicom_source(settings, header)


@pytest.mark.parametrize(("shift_mm", "is_same"), [(0.05, True), (0.06, False)])
def test_a_shift_of_a_tenth_of_a_millimetre_is_another_grid(tmp_path: Path, shift_mm: float, is_same: bool) -> None:
    """0.05 mm along each axis are 0.087 mm, 0.06 mm are 0.104 mm."""
    series = write_study(tmp_path / "ct", SHAPE)
    path, _ = _nifti(tmp_path, series, TURNS[0], shift_mm)
    settings = settings_of(tmp_path / "out", dicom_seg="auto", dicom_reference=series)
    if is_same:
        assert dicom_source(settings, read_header([path])) is not None
        return
    with pytest.raises(InputError, match=r"corners are 0\.104 mm from those of"):
        dicom_source(settings, read_header([path]))


def test_files_that_cannot_be_sent_stay_and_are_listed(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1])
    options = {"dicom_seg": "auto", "rtstruct": True, "send": "NOBODY@127.0.0.1:1"}
    segmentation, volume, source = segmentation_of(tmp_path, series, voxels, **options)
    report = Report()
    with pytest.raises(
        ServerError,
        match=r"^--send NOBODY@127.0.0.1:1: 0 of 2 files stored, 2 not; the first is volume.seg.dcm: no conn",
    ):
        write_dicom(segmentation, volume, source, report)
    names = [tmp_path / "out/volume.seg.dcm", tmp_path / "out/volume.rtstruct.dcm"]
    assert all(name.is_file() for name in names)
    assert report.data["dicom"]["sent"] == {
        "address": "NOBODY@127.0.0.1:1",
        "stored": [],
        "refused": [str(name) for name in names],
    }


def test_no_message_or_report_has_the_patient(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1])
    options = {"dicom_seg": "auto", "dicom_sr": True, "rtstruct": True, "dicom_sc": True, "send": "A@127.0.0.1:1"}
    report = Report()
    with caplog.at_level(logging.DEBUG), pytest.raises(ServerError) as caught:
        write_dicom(*segmentation_of(tmp_path, series, voxels, **options), report)
    report.finish("done")
    for text in (caplog.text, str(report.data), str(caught.value)):
        assert not any(marked in text for marked in ("Müller", "MARKED", "19500102", "1.2.826.0.1.3680043.8.498"))
