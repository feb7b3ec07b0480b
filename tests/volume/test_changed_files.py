"""A file that is replaced or written to between its header and its voxels is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import write_slice

from gpu_infer.errors import InputError
from gpu_infer.volume.follower import Follower
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.open_input import InputOptions, open_input
from gpu_infer.volume.read import read_header, read_voxels

VOXELS = np.random.default_rng(1).integers(0, 99, (5, 4, 3)).astype(np.int16)


def write(path: Path, voxels: np.ndarray[Any, Any] = VOXELS) -> Path:
    if path.suffix in (".mhd", ".mha", ".nrrd", ".nhdr"):
        sitk.WriteImage(sitk.GetImageFromArray(voxels.T), path)
    else:
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    return path


def replace_by_newer(path: Path) -> None:
    """Another file of the same size and time takes the name, as of an export that is sent again."""
    status = path.stat()
    other = path.with_name("new")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def rewrite(path: Path) -> None:
    """The same file has other bytes."""
    before = path.stat().st_mtime_ns
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before + 1000, before + 1000))


def append(path: Path) -> None:
    """A copy that has not ended: its time may be that of a tool that sets it back."""
    status = path.stat()
    with path.open("ab") as file:
        file.write(b"\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = [replace_by_newer, rewrite, append]
FILES = [
    ("v.nii", "v.nii"),
    ("v.nii.gz", "v.nii.gz"),
    ("v.img", "v.img"),
    ("v.img", "v.hdr"),
    ("v.hdr", "v.img"),
    ("v.mha", "v.mha"),
    ("v.mhd", "v.mhd"),
    ("v.mhd", "v.raw"),
    ("v.nrrd", "v.nrrd"),
    ("v.nhdr", "v.nhdr"),
    ("v.nhdr", "v.raw"),
]


def refusal(name: str) -> str:
    return rf"{name}: changed since its header was read, expected the file that was there at the start"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("name", "changed"), FILES)
def test_a_file_that_changes_after_its_header_is_refused(
    tmp_path: Path, name: str, changed: str, change: Callable[[Path], None]
) -> None:
    header = read_header([write(tmp_path / name)])
    change(tmp_path / changed)
    with pytest.raises(InputError, match=refusal(changed)):
        read_voxels(header)


@pytest.mark.parametrize(("name", "changed"), FILES)
def test_a_file_that_changes_while_its_voxels_are_read_is_refused(tmp_path: Path, name: str, changed: str) -> None:
    header = read_header([write(tmp_path / name)])

    def load(remarks: list[str], follower: Follower) -> Any:
        voxels = load_voxels(remarks, follower)
        replace_by_newer(tmp_path / changed)
        return voxels

    load_voxels = header.load
    object.__setattr__(header, "load", load)
    with pytest.raises(InputError, match=refusal(changed)):
        read_voxels(header)


def test_a_file_that_became_shorter_has_changed(tmp_path: Path) -> None:
    """The remedy is to wait, not to export it again as for a file that was too short from the start."""
    header = read_header([write(tmp_path / "v.nii")])

    def load(remarks: list[str], follower: Follower) -> Any:
        os.truncate(tmp_path / "v.nii", 400)
        return load_voxels(remarks, follower)

    load_voxels = header.load
    object.__setattr__(header, "load", load)
    with pytest.raises(InputError, match=refusal("v.nii")):
        read_voxels(header)


def test_a_header_of_two_files_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The .hdr of a .img is another file than the one that was named."""
    path = write(tmp_path / "v.img")
    check: Any = VolumeHeader.__init__

    def replace_first(*arguments: Any, **named: Any) -> None:
        replace_by_newer(tmp_path / "v.hdr")
        monkeypatch.undo()
        check(*arguments, **named)

    monkeypatch.setattr(VolumeHeader, "__init__", replace_first)
    header = read_header([path])
    with pytest.raises(InputError, match=refusal("v.hdr")):
        read_voxels(header)


def test_one_of_several_channels(tmp_path: Path) -> None:
    header = read_header([write(tmp_path / "a.mhd"), write(tmp_path / "b.mhd")])
    rewrite(tmp_path / "b.raw")
    with pytest.raises(InputError, match=refusal("b.raw")):
        read_voxels(header)


def test_a_file_that_is_removed_is_refused(tmp_path: Path) -> None:
    header = read_header([write(tmp_path / "v.nii")])
    (tmp_path / "v.nii").unlink()
    with pytest.raises(InputError, match="no such file"):
        read_voxels(header)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("by_folder", [True, False])
def test_one_slice_of_a_series(tmp_path: Path, change: Callable[[Path], None], by_folder: bool) -> None:
    (tmp_path / "ct").mkdir()
    for number in range(4):
        write_slice(tmp_path / "ct" / f"{number}.dcm", number)
    with open_input(tmp_path / "ct" if by_folder else tmp_path, InputOptions()) as header:
        change(header.files[2])
        with pytest.raises(InputError, match=refusal(header.files[2].name)):
            read_voxels(header)


@pytest.mark.parametrize("name", [name for name, changed in FILES if name == changed])
def test_files_that_stay_as_they_are_are_read(tmp_path: Path, name: str) -> None:
    header = read_header([write(tmp_path / name)])
    os.utime(tmp_path / name, ns=(0, (tmp_path / name).stat().st_mtime_ns))  # its time of access does not count
    (tmp_path / name).chmod(0o600)
    np.testing.assert_array_equal(read_voxels(header).data[0], VOXELS)
