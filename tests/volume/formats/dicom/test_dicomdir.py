"""A DICOMDIR: the files of its records, inside of its folder only."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_series import hounsfield, write_slice
from dicom_study import IDENTITY, MPR, MPR_UID, STUDY_UID, THIN_UID
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from gpu_infer.errors import InputError
from gpu_infer.volume.formats.dicom.dicomdir import listed_files
from gpu_infer.volume.formats.dicom.file import quiet
from gpu_infer.volume.open_input import InputOptions, open_input
from gpu_infer.volume.read import read_voxels
from gpu_infer.volume.series_rules import series_of_option


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A medium with two series, written by pydicom."""
    files = FileSet()
    tags = dict(IDENTITY, FrameOfReferenceUID=f"{STUDY_UID}.9", StudyTime="1200", StudyID="1", StudyDate="20190223")
    for number, (uid, slices) in enumerate(((THIN_UID, range(5)), (MPR_UID, MPR)), 1):
        for n in slices:
            path = tmp_path / f"{number}-{n}"
            write_slice(path, n, series=uid, SeriesNumber=number, **tags)
            files.add(path)
            path.unlink()
    files.write(tmp_path / "medium")
    files._stage["t"].cleanup()  # FileSet leaves its temporary folder to the interpreter, which warns
    return tmp_path / "medium"


def edit(medium: Path, change: Callable[[Dataset], object]) -> Path:
    """Change the first record that has a file."""
    ds = pydicom.dcmread(medium / "DICOMDIR")
    record = next(r for r in ds.DirectoryRecordSequence if "ReferencedFileID" in r)
    with quiet():  # pydicom warns of names that the standard forbids
        change(record)
        ds.save_as(medium / "DICOMDIR")
    return medium / "DICOMDIR"


def test_the_records_name_the_files(medium: Path) -> None:
    files = listed_files(medium / "DICOMDIR")
    expected = {p for p in medium.rglob("*") if p.is_file() and p.name != "DICOMDIR"}
    assert (len(files), set(files)) == (5 + len(MPR), expected)


def test_a_series_of_a_medium(medium: Path) -> None:
    write_slice(medium / "not_listed", 99, series=MPR_UID)
    with open_input(medium / "DICOMDIR", InputOptions(series=series_of_option("SeriesNumber=2"))) as header:
        np.testing.assert_array_equal(read_voxels(header).data, hounsfield(MPR))
    with (
        pytest.raises(InputError, match="2 DICOM series, 2 of them are volumes"),
        open_input(medium / "DICOMDIR", InputOptions()),
    ):
        pass


def test_names_in_lower_case(medium: Path) -> None:
    for path in sorted(medium.rglob("*"), reverse=True):
        if path.name != "DICOMDIR":
            path.rename(path.with_name(path.name.lower()))
    assert all(path.is_file() for path in listed_files(medium / "DICOMDIR"))


def test_a_record_that_is_not_in_use_is_skipped(medium: Path) -> None:
    path = edit(medium, lambda record: setattr(record, "RecordInUseFlag", 0))
    assert len(listed_files(path)) == 5 + len(MPR) - 1


@pytest.mark.parametrize("name", [["..", "secret"], ["..", "..", "etc", "passwd"], ["/etc/passwd"], [".", "x"]])
def test_a_record_outside_of_the_folder(medium: Path, name: list[str]) -> None:
    (medium.parent / "secret").write_bytes(b"x")
    with pytest.raises(InputError, match=r"DICOMDIR: record of the file .*expected names of folders and a file"):
        listed_files(edit(medium, lambda record: setattr(record, "ReferencedFileID", name)))


def test_a_link_outside_of_the_folder(medium: Path) -> None:
    first = listed_files(medium / "DICOMDIR")[0]
    shutil.move(first, medium.parent / "elsewhere")
    first.symlink_to(medium.parent / "elsewhere")
    with pytest.raises(InputError, match="lies outside of its folder"):
        listed_files(medium / "DICOMDIR")


def test_a_missing_file(medium: Path) -> None:
    listed_files(medium / "DICOMDIR")[3].unlink()
    with pytest.raises(InputError, match=r"of a record not found in .*copy the whole medium"):
        listed_files(medium / "DICOMDIR")


@pytest.mark.parametrize("content", [b"", b"text" * 100, bytes(300)])
def test_no_dicomdir(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "DICOMDIR").write_bytes(content)
    with pytest.raises(InputError, match="damaged or no DICOMDIR"):
        listed_files(tmp_path / "DICOMDIR")


@pytest.mark.parametrize("seed", range(30))
def test_damage_is_an_error_without_values(medium: Path, seed: int) -> None:
    path = medium / "DICOMDIR"
    content = bytearray(path.read_bytes())
    for byte in np.random.default_rng(seed).integers(128, len(content), 20):
        content[byte] ^= 0x5A
    path.write_bytes(content)
    try:
        listed_files(path)
    except InputError as error:
        assert "Zyxmark" not in str(error)


def test_no_record_with_a_file(medium: Path) -> None:
    ds: Dataset = pydicom.dcmread(medium / "DICOMDIR")
    ds.DirectoryRecordSequence = []
    ds.save_as(medium / "DICOMDIR")
    with pytest.raises(InputError, match="no record refers to a file"):
        listed_files(medium / "DICOMDIR")
