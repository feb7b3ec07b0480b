"""Opening an input: files as before, studies whose series is chosen, archives and DICOMDIRs."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_series import hounsfield, write_enhanced, write_series, write_slice
from dicom_study import (
    MARKS,
    MPR,
    MPR_UID,
    THIN,
    THIN_UID,
    write_one_volume,
    write_other_patient,
    write_study,
    zip_folder,
)

from gpu_infer.errors import ConfigError, GpuInferError, InputError
from gpu_infer.volume.open_input import InputOptions, open_input
from gpu_infer.volume.read import read_voxels
from gpu_infer.volume.series_rules import SeriesChoice, parse_rule, series_of_option


def options(series: str | None = None, **others: object) -> InputOptions:
    return InputOptions(series=None if series is None else series_of_option(series), **others)  # type: ignore[arg-type]


def by_config(*rules: str) -> InputOptions:
    return InputOptions(series=SeriesChoice(tuple(map(parse_rule, rules)), "c.json: series", is_option=False))


def voxels(path: Path, chosen: InputOptions | None = None) -> np.ndarray:
    with open_input(path, chosen or options()) as header:
        return read_voxels(header).data


def refused(path: Path, chosen: InputOptions, error: type[GpuInferError] = InputError) -> str:
    with pytest.raises(error) as caught, open_input(path, chosen):
        pass
    text = str(caught.value)
    assert "\n" not in text
    assert not [mark for mark in MARKS if mark in text]
    return text


def test_the_only_volume_of_a_study_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = write_one_volume(tmp_path / "study")
    with caplog.at_level(logging.INFO), open_input(study, options()) as header:
        assert header.geometry.shape == (5, 4, len(THIN))
        assert (header.path, header.case_name) == (study / "st0" / "se1", "se1")
        assert header.describe()["series"] == {"number": 2, "of": 4, "modality": "CT"}
        np.testing.assert_array_equal(read_voxels(header).data, hounsfield(THIN))
    assert "series 2 of 4: CT, 24 slices" in caplog.text


def test_the_first_of_several_files_is_a_warning_of_the_header(tmp_path: Path) -> None:
    for name in "ba":
        nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4)), tmp_path / f"{name}.nii")
    with open_input(tmp_path, InputOptions(first=True)) as header:
        assert header.path == tmp_path / "a.nii"
        assert header.warnings[0] == "the first of 2 volumes in the folder, the others are not read: b.nii"
        assert read_voxels(header).warnings[: len(header.warnings)] == header.warnings
    assert "found 2 volumes, expected one: a.nii, b.nii" in refused(tmp_path, InputOptions())
    with open_input(tmp_path, InputOptions(outputs=lambda _: {tmp_path / "a.nii"})) as header:
        assert header.path == tmp_path / "b.nii"


def test_files_are_in_the_order_of_the_slices(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    with open_input(study, options("2")) as header:
        assert [file.name for file in header.files] == [f"IM{(k * 7) % 100:03d}" for k in THIN]


def test_several_volumes_are_listed(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    assert refused(study, options()) == (
        f"{study}: 5 DICOM series, 2 of them are volumes: 1: CT, localizer; 2: CT, 24 slices; 3: CT, 8 slices; 4: OT, "
        "st0/se3/SC1: colour images, found SamplesPerPixel 3 and PhotometricInterpretation RGB, expected one MONOCHROME"
        " sample p…; 5: SR, no pixels: a report, a structure set or the like (choose one with --series NUMBER, UID or"
        " RULE; gpu-infer series PATH describes them)"
    )


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        ("2", THIN),
        ("3", MPR),
        (MPR_UID, MPR),
        ("slices>20", THIN),
        ("slices<=8", MPR),
        ("Modality=CT, ImageType~ORIGINAL", THIN),
        ("ImageType=mpr", MPR),
        ("SeriesNumber=3", MPR),
        ("SeriesDescription=seriesmark SE1", THIN),
        ("PatientID=PIDMARK/47110815,slices!=8", THIN),
    ],
)
def test_chosen_by_number_uid_or_rule(tmp_path: Path, text: str, slices: range) -> None:
    study = write_study(tmp_path / "study")
    np.testing.assert_array_equal(voxels(study, options(text)), hounsfield(slices))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9", "--series: '9' fits none, expected exactly one: 1: CT"),
        ("1.2.3", "--series: the UID fits none, expected exactly one"),
        ("Modality=CT", "--series: 'Modality=CT' fits 2, 3, expected exactly one"),
        ("spacing>9", "--series: 'spacing>9' fits none, expected exactly one"),
        ("1", "series 1 cannot be used: localizer (choose another one"),
        ("5", "series 5 cannot be used: no pixels"),
    ],
)
def test_a_choice_that_fits_none_or_several(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(write_study(tmp_path / "study"), options(text))


def test_rules_of_a_configuration_are_tried_in_order(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    chosen = by_config("slices>100", "Modality=CT", "slices<20")
    np.testing.assert_array_equal(voxels(study, chosen), hounsfield(MPR))
    text = refused(study, by_config("slices>100", "Modality=CT"))
    assert "c.json: series: 'slices>100' fits none; 'Modality=CT' fits 2, 3, expected exactly one" in text


def test_rules_of_a_configuration_apply_to_a_folder_with_one_series(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(4))
    np.testing.assert_array_equal(voxels(folder, by_config("slices=4")), hounsfield(range(4)))
    assert "'slices>4' fits none" in refused(folder, by_config("slices>4"))


def test_rules_of_a_configuration_do_not_apply_to_other_formats(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.int16), np.eye(4)), tmp_path / "a.nii")
    assert voxels(tmp_path, by_config("slices>100")).shape == (1, 3, 3, 3)
    assert "--series chooses from a DICOM study, found another file" in refused(tmp_path / "a.nii", options("1"))
    assert "no DICOM series found in 1 files" in refused(tmp_path, options("1"))


@pytest.mark.parametrize("chosen", [None, "Modality=CT"])
def test_a_series_with_a_gap_is_mentioned(tmp_path: Path, chosen: str | None, caplog: pytest.LogCaptureFixture) -> None:
    study = write_study(tmp_path / "study")
    (study / "st0" / "se1" / "IM049").unlink()
    warning = "series 2 (CT, 23 files) was not considered: st0/se1: 1 slices missing: 5.000 mm between IM042 and IM056"
    with open_input(study, options(chosen)) as header:
        assert header.geometry.shape[2] == len(MPR)
        assert [w.split(", expected")[0] for w in header.warnings] == [warning]
    assert warning in caplog.text
    with open_input(study, options("3")) as header:
        assert header.warnings == ()


def test_series_in_one_folder(tmp_path: Path) -> None:
    for number in range(6):
        write_slice(tmp_path / f"A{number}", number, series="1.2.1")
        write_slice(tmp_path / f"B{number}", number, series="1.2.2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    np.testing.assert_array_equal(voxels(tmp_path), hounsfield(range(6)))
    with open_input(tmp_path, options()) as header:
        assert header.case_name == tmp_path.name


def test_another_patient_with_the_same_series_uid(tmp_path: Path) -> None:
    write_one_volume(tmp_path / "study")
    write_other_patient(tmp_path / "study" / "other")
    assert "2 of them are volumes" in refused(tmp_path / "study", options())
    chosen = "PatientID=OTHERPID"
    np.testing.assert_array_equal(voxels(tmp_path / "study", options(chosen)), hounsfield(range(5)))
    assert "the UID fits 1, 3" in refused(tmp_path / "study", options(THIN_UID))


def test_doubled_slices_are_refused(tmp_path: Path) -> None:
    study = write_one_volume(tmp_path / "study")
    shutil.copytree(study / "st0" / "se1", study / "copy")
    assert "none of them is a volume" in (text := refused(study, options()))
    assert "two slices at one position" in text


def test_a_cut_slice_of_the_chosen_series_is_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    cut = study / "st0" / "se1" / "IM007"
    cut.write_bytes(cut.read_bytes()[:400])
    assert "series 2 cannot be used" in (text := refused(study, options("2")))
    assert "IM007" in text
    np.testing.assert_array_equal(voxels(study, options("3")), hounsfield(MPR))


def test_an_enhanced_series_is_one_file(tmp_path: Path) -> None:
    study = write_one_volume(tmp_path / "study")
    (study / "enhanced").mkdir()
    write_enhanced(study / "enhanced" / "E1", [2, 0, 1])
    with open_input(study, options("slices=3")) as header:
        assert header.files == (study / "enhanced" / "E1",)
        np.testing.assert_array_equal(read_voxels(header).data, hounsfield(range(3)))


@pytest.mark.parametrize("deep", [True, False])
def test_an_archive_is_read_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep: bool) -> None:
    study = write_one_volume(tmp_path / "study")
    archive = zip_folder(study if deep else study / "st0" / "se1", tmp_path / "exam 7.zip")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with open_input(archive, options()) as header:
        np.testing.assert_array_equal(read_voxels(header).data, hounsfield(THIN))
        assert header.case_name == ("se1" if deep else "exam 7")
        where = f"{archive}/st0/se1" if deep else str(archive)
        described = header.describe()
        assert described["path"] == where
        assert described["files"] == [f"{where}/IM{(k * 7) % 100:03d}" for k in THIN]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_error_in_an_archive_names_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "s", [0, 1, 2, 5])
    archive = zip_folder(folder, tmp_path / "exam.zip")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    text = refused(archive, options("1"))
    assert text.startswith(f"{archive}: series 1 cannot be used: ")
    assert "2 slices missing" in text
    assert str(tmp_path / "tmp") not in text
    assert list((tmp_path / "tmp").iterdir()) == []


def test_patterns_of_files_exclude_a_series(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    text = refused(study, options("2", patterns=["*_t1.nii"]), ConfigError)
    assert text == "--series contradicts LoadNifti's `files` (leave one of the two out)"


def test_a_name_of_elements(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    pattern = "ct_{PatientID}_{SeriesNumber}_{StudyDate}_{folder}"
    with open_input(study, options("3", name=pattern)) as header:
        assert header.case_name == "ct_PIDMARK_47110815-12abe790_3_20190223_se2"
    text = refused(study, options("3", name="{StationName}"))
    assert f"{study}/st0/se2: StationName is empty or missing" in text


# -- channels in files of their own ---------------------------------------------------------------------------


def write_volume(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def test_files_are_the_channels_in_their_order(tmp_path: Path) -> None:
    data = [np.random.default_rng(n).integers(-9, 9, (3, 4, 5)).astype(np.int16) for n in range(3)]
    files = [write_volume(tmp_path / f"{name}.nii", values) for name, values in zip("bca", data, strict=True)]
    np.testing.assert_array_equal(voxels(files[0], options(files=files)), np.stack(data))
    with open_input(files[0], options(files=files)) as header:
        assert (header.channels, header.case_name) == (3, "b")


def test_the_folder_of_a_series_may_be_a_channel(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "ct", range(3))
    with open_input(folder, options()) as header:
        image = write_volume(tmp_path / "b.nii", np.ones(header.geometry.shape, np.int16), header.geometry.affine)
    values = voxels(folder, options(files=[folder, image]))
    np.testing.assert_array_equal(values, np.concatenate([hounsfield(range(3)), np.ones((1, 5, 4, 3))]))


def test_channels_with_different_grids_are_refused(tmp_path: Path) -> None:
    first = write_volume(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16))
    shape = write_volume(tmp_path / "b.nii", np.zeros((3, 4, 6), np.int16))
    place = write_volume(tmp_path / "c.nii", np.zeros((3, 4, 5), np.int16), np.diag([1, 1, 1.5, 1]))
    message = refused(first, options(files=[first, shape]))
    assert f"{shape}: shape (3, 4, 6), expected (3, 4, 5) as in {first}" in message
    # the far face of the last slice of 5 is 4.5 · 0.5 mm away
    message = refused(first, options(files=[first, place]))
    assert f"{place}: affine differs from {first} by 2.25 mm at the corners" in message


def test_a_missing_or_packed_channel_is_refused(tmp_path: Path) -> None:
    first = write_volume(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16))
    assert "b.nii: no such file" in refused(first, options(files=[first, tmp_path / "b.nii"]))
    (tmp_path / "c.zip").write_bytes(b"")
    message = refused(first, options(files=[first, tmp_path / "c.zip"]))
    assert f"{tmp_path}/c.zip: a DICOM study, expected the file of one channel" in message


def test_channels_contradict_other_choices_of_files(tmp_path: Path) -> None:
    first = write_volume(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16))
    files = [first, first]
    message = refused(first, options(files=files, patterns=["*.nii"]), ConfigError)
    assert "2 files of channels contradict LoadNifti's `files`" in message
    assert "--series contradicts 2 files of channels" in refused(first, options("1", files=files), ConfigError)
    with open_input(first, InputOptions(series=by_config("Modality=CT").series, files=files)) as header:
        assert header.channels == 2  # a rule of the configuration is for DICOM studies


def test_only_the_files_of_a_series_count(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", range(3), series="1.2.1")
    first = sorted(folder.iterdir())
    write_series(folder, range(20, 24), series="1.2.2")
    np.testing.assert_array_equal(voxels(folder, options(series_files=first)), hounsfield(range(3)))
    rule = options("slices=3", series_files=first)
    np.testing.assert_array_equal(voxels(folder, rule), hounsfield(range(3)))
    assert "1 DICOM series, --series: 'slices=4' fits none" in refused(folder, options("slices=4", series_files=first))
    one = options(series_files=first, patterns=["*.nii"])
    assert "files of a series contradict LoadNifti's `files`" in refused(folder, one, ConfigError)
    one = options(series_files=first, files=[folder])
    assert "1 files of channels contradict the files of one series" in refused(folder, one, ConfigError)
    first[0].unlink()
    message = refused(folder, options(series_files=first))
    assert f"1 DICOM series, none of them is a volume: 1: CT, {first[0].name}: cannot be read" in message
