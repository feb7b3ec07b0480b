"""Which file counts, its base name, and channels from several files."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_series import write_series

from gpu_infer.errors import InputError
from gpu_infer.volume.input_files import base_name, choose_input
from gpu_infer.volume.read import read_volume, read_volumes


def nifti(path: Path, value: int = 0, dtype: str = "int16", slope: float | None = None, shift: float = 0.0) -> Path:
    affine = np.diag([1.0, 2, 3, 1])
    affine[0, 3] = shift
    data = np.arange(60, dtype=dtype).reshape(3, 4, 5) + np.dtype(dtype).type(value)
    image = nib.Nifti1Image(data, affine)
    if slope is not None:
        image.header.set_slope_inter(slope, 10)
    image.to_filename(path)
    return path


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
def test_first_supported_name_counts(tmp_path: Path, names: list[str], chosen: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert choose_input(tmp_path) == tmp_path / chosen


def test_several_volumes_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.nii", "b.nii"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.WARNING):
        choose_input(tmp_path)
    assert "2 volumes, taking a.nii, not b.nii" in caplog.text


def test_a_file_is_itself_whatever_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    (tmp_path / "b.hdr").touch()
    assert choose_input(tmp_path / "b.hdr") == tmp_path / "b.hdr"


def test_dicom_folders(tmp_path: Path) -> None:
    write_series(tmp_path / "study", range(2))
    assert choose_input(tmp_path / "study") == tmp_path / "study"
    assert choose_input(tmp_path) == tmp_path / "study"
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="No supported input file found"):
        choose_input(tmp_path)
    nifti(tmp_path / "a.nii")
    assert choose_input(tmp_path) == tmp_path / "a.nii"


def test_nothing_to_choose(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        choose_input(tmp_path)
    assert str(caught.value).startswith(f"No supported input file found ({tmp_path}: expected .nii.gz, .nii")
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


@pytest.mark.parametrize("name", ["lost.nii", "lost.mhd", "lost.nrrd", "lost.xyz"])
def test_read_what_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"lost\.\w+: (no such file|unsupported extension)"):
        read_volume(tmp_path / name)


def test_several_files_become_channels(tmp_path: Path) -> None:
    paths = [nifti(tmp_path / f"{n}.nii", value=n) for n in range(3)]
    volume = read_volumes(paths)
    assert volume.data.shape == (3, 3, 4, 5)
    assert volume.data.dtype == np.int16
    assert volume.data.strides[1:] == (2, 6, 24)
    for n in range(3):
        np.testing.assert_array_equal(volume.data[n], nib.load(paths[n]).dataobj)
    assert volume.path == paths[0]
    assert volume.files == tuple(paths)
    assert volume.warnings == ()


def test_one_file_stays_as_it_is(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", slope=2.0)
    assert read_volumes([path]).slope == read_volume(path).slope == 2.0


def test_different_scaling_ends_in_physical_units(tmp_path: Path) -> None:
    paths = [nifti(tmp_path / "a.nii", slope=2.0), nifti(tmp_path / "b.nii", dtype="uint8")]
    volume = read_volumes(paths)
    assert (volume.data.dtype, volume.slope, volume.inter) == (np.float32, 1.0, 0.0)
    for n, path in enumerate(paths):
        np.testing.assert_array_equal(volume.data[n], nib.load(path).get_fdata())
    assert volume.warnings == ("the files differ in dtype or scaling: kept as float32 in physical units",)


def test_grids_that_differ(tmp_path: Path) -> None:
    first = nifti(tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"b\.nii: affine differs from .*a\.nii by 0\.5 mm"):
        read_volumes([first, nifti(tmp_path / "b.nii", shift=0.5)])
    nib.Nifti1Image(np.zeros((3, 4, 6), np.int16), np.eye(4)).to_filename(tmp_path / "c.nii")
    with pytest.raises(InputError, match=r"c\.nii: shape \(3, 4, 6\), expected \(3, 4, 5\)"):
        read_volumes([first, tmp_path / "c.nii"])
    with pytest.raises(InputError, match="no input file given"):
        read_volumes([])
