"""Choice of the input file, its base name, and files by pattern."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from dicom_series import write_series

from gpu_infer.errors import InputError
from gpu_infer.volume.input_files import FolderChoice, base_name, choose_files, choose_input


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["b.nii.gz", "a.mhd", "a.raw"], "a.mhd"),
        (["z.nrrd", "c.nii", "notes.txt"], "c.nii"),
        (["a.raw", "b.nhdr", "c.nii"], "b.nhdr"),
        (["B.NII.GZ", "readme.md"], "B.NII.GZ"),
        ([".hidden.nii", "._a.nii.gz", "b.mha"], "b.mha"),
        (["a.hdr", "a.img", "b.nii"], "b.nii"),
    ],
)
def test_the_first_supported_name_is_chosen(tmp_path: Path, names: list[str], chosen: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert choose_input(tmp_path, FolderChoice(first=True)) == tmp_path / chosen


def test_several_volumes_are_refused(tmp_path: Path) -> None:
    for name in "fedcba":
        (tmp_path / f"{name}.nii").touch()
    for name in (".hidden.nii", "notes.txt", "scan.hdr"):
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        choose_input(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: found 6 volumes, expected one: a.nii, b.nii, c.nii, d.nii and 2 more (give the file; --first "
        "takes the first one, gpu-infer batch segments all of them)"
    )
    assert caught.value.exit_code == 3


def test_the_first_of_several_volumes_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("c.nii", "a.nii", "b.nii"):
        (tmp_path / name).touch()
    choice = FolderChoice(first=True)
    with caplog.at_level(logging.WARNING):
        assert choose_input(tmp_path, choice) == tmp_path / "a.nii"
    assert choice.warnings == ["the first of 3 volumes in the folder, the others are not read: b.nii, c.nii"]
    assert f"{tmp_path / 'a.nii'}: {choice.warnings[0]}" in caplog.text


@pytest.mark.parametrize(
    ("own", "chosen"),
    [({"a", "c"}, "b"), ({"b", "c"}, "a"), ({"a"}, None), ({"a", "b", "c"}, None), (set(), None)],
)
def test_own_outputs_are_no_inputs_beside_another_volume(tmp_path: Path, own: set[str], chosen: str | None) -> None:
    for name in "abc":
        (tmp_path / f"{name}.nii").touch()
    choice = FolderChoice(outputs=lambda volumes: {volume for volume in volumes if volume.stem in own})
    if chosen is not None:
        assert choose_input(tmp_path, choice) == tmp_path / f"{chosen}.nii"
        assert choice.warnings == []
        return
    with pytest.raises(InputError, match=r"found [23] volumes, expected one: "):
        choose_input(tmp_path, choice)


def test_an_own_output_alone_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    assert choose_input(tmp_path, FolderChoice(outputs=set)) == tmp_path / "a.nii"


def test_a_file_is_the_input_also_next_to_others(tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    (tmp_path / "b.hdr").touch()
    assert choose_input(tmp_path / "b.hdr") == tmp_path / "b.hdr"


def test_dicom_folders(tmp_path: Path) -> None:
    write_series(tmp_path / "study", range(2))
    assert choose_input(tmp_path / "study") == tmp_path / "study"
    assert choose_input(tmp_path) == tmp_path / "study"
    (tmp_path / "other").mkdir()
    assert choose_input(tmp_path) == tmp_path  # a study, whose series are chosen when it is opened
    (tmp_path / "a.nii").touch()
    assert choose_input(tmp_path) == tmp_path / "a.nii"


def test_nothing_to_choose(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        choose_input(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: No supported input file found (expected .nii.gz, .nii")
    (tmp_path / "scan.dcm").touch()
    with pytest.raises(InputError, match=r"scan\.dcm: unsupported extension, expected \.nii\.gz"):
        choose_input(tmp_path / "scan.dcm")
    with pytest.raises(InputError, match="no such file or folder"):
        choose_input(tmp_path / "lost.nii")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("ct.nii.gz", "ct"),
        ("ct.v2.nii", "ct.v2"),
        ("CT.NII.GZ", "CT"),
        ("a.b.mhd", "a.b"),
        ("1.2.840.1", "1.2.840.1"),
        ("p.img", "p"),
        (".nii", ".nii"),
    ],
)
def test_base_name(name: str, base: str) -> None:
    assert base_name(Path("/somewhere") / name) == base


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("case_t1.nii.gz", "case_t1ce.nii.gz", "case_t2.mhd", ".hidden_t2.mhd", "notes.txt", "case_t2.raw"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_one_file_per_pattern_in_their_order(folder: Path) -> None:
    chosen_files = choose_files(folder, ["*_t2.*", "*_t1.nii.gz", "case_t1ce.nii.gz"])
    assert [p.name for p in chosen_files] == ["case_t2.mhd", "case_t1.nii.gz", "case_t1ce.nii.gz"]


def test_without_patterns_the_first_volume(folder: Path) -> None:
    assert [p.name for p in choose_files(folder, [], FolderChoice(first=True))] == ["case_t1.nii.gz"]
    with pytest.raises(InputError, match="found 3 volumes, expected one"):
        choose_files(folder, [])


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["*_flair*"], "expected one file *_flair*, found none (volumes there: case_t1.nii.gz, case_t1ce.nii.gz, "),
        (["*_t1*"], "expected one file *_t1*, found case_t1.nii.gz, case_t1ce.nii.gz (volumes there: "),
        (["*_t2*", "case_t2*"], "case_t2.mhd fits *_t2* and case_t2* (make the patterns of LoadNifti's `files` "),
    ],
)
def test_patterns_that_do_not_fit(folder: Path, patterns: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_files(folder, patterns)
    assert str(caught.value).startswith(f"{folder}: {message}")


def test_patterns_need_a_folder(folder: Path) -> None:
    with pytest.raises(InputError, match="expected a folder with the files a, b"):
        choose_files(folder / "case_t1.nii.gz", ["a", "b"])
