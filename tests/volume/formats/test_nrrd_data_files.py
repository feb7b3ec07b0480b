"""NRRD headers with voxels in other files, against ITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nrrd_files import SPACED, VOXELS, assert_as_itk, refused, write

from gpu_infer.volume.input_files import base_name
from gpu_infer.volume.read import read_header, read_volume


@pytest.mark.parametrize("name", ["list.raw", "List", "listing"])
def test_a_data_file_with_a_name_like_a_list(tmp_path: Path, name: str) -> None:
    """Lines after it are fields; its name is no list for ITK either."""
    (tmp_path / name).write_bytes(b"abcd" + VOXELS.tobytes())
    origin = "space origin: (10,20,30)\n"
    assert origin in SPACED
    head = SPACED.replace(origin, "") + f"encoding: raw\ndata file: {name}\nbyte skip: 4\n"
    path = tmp_path / "v.nrrd"
    path.write_text(f"NRRD0005\n{head}space origin: (40,50,60)\n")
    assert_as_itk(path)
    np.testing.assert_array_equal(read_volume(path).geometry.affine[:3, 3], (-40, -50, 60))


@pytest.mark.parametrize("name", ["LISTING.raw", "LIST.raw", "LIST x", "LIST 0", "LIST9"])
def test_names_that_start_with_list(tmp_path: Path, name: str) -> None:
    """ITK refuses them too."""
    (tmp_path / name).write_bytes(VOXELS.tobytes())
    path = write(tmp_path, SPACED + f"data file: {name}\n", b"")
    with pytest.raises(RuntimeError):
        sitk.ReadImage(path)
    refused(path, f"data file: {name}, expected LIST with or without a number of axes")


@pytest.mark.parametrize("data", ["LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw", "s%d.raw 0 3 1", "s%d.raw 0 3 1 2"])
def test_detached_slices_as_itk_reads_them(tmp_path: Path, data: str) -> None:
    for k, part in enumerate(VOXELS):
        (tmp_path / f"s{k}.raw").write_bytes(part.tobytes())
    path = tmp_path / "v.nrrd"
    path.write_text(f"NRRD0005\n{SPACED}encoding: raw\ndata file: {data}\n")
    assert_as_itk(path)
    assert [f.name for f in read_header([path]).files] == ["v.nrrd", "s0.raw", "s1.raw", "s2.raw", "s3.raw"]
    (tmp_path / "s2.raw").write_bytes(bytes(5))
    refused(path, r"s2\.raw: truncated: found 5 bytes of voxels, expected 12")


@pytest.mark.parametrize("name", ["v.nhdr", "V.NHDR"])
def test_detached_headers_of_their_own_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    path = tmp_path / name
    path.write_text(f"NRRD0005\n{SPACED}encoding: raw\ndata file: v.raw\n")
    plain = tmp_path / "plain.nrrd"
    plain.write_text(path.read_text())
    assert_as_itk(plain)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data, read_volume(plain).data)
    np.testing.assert_array_equal(volume.geometry.affine, read_volume(plain).geometry.affine)
    assert [f.name for f in read_header([path]).files] == [name, "v.raw"]
    assert base_name(path) == path.stem


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("LIST\ns0.raw\ns1.raw", "names 2 files, expected 4 for sizes: 2 3 4"),
        ("s%d.raw 0 2 1", "names 3 files, expected 4"),
        ("s%d.raw 0 3 0", "a step of at least 1"),
        ("s%d.raw 0 3", "a pattern with first, last and step"),
        ("%s%s%n 0 3 1", "one %d or %03d"),
        ("s%1000000000d.raw 0 3 1", "one %d or %03d"),
        ("s%d.raw 0 999999999 1", "data file s4.raw not found"),
        ("gone.raw", "data file gone.raw not found"),
    ],
)
def test_detached_slices_that_are_wrong(tmp_path: Path, data: str, text: str) -> None:
    for k, part in enumerate(VOXELS):
        (tmp_path / f"s{k}.raw").write_bytes(part.tobytes())
    path = tmp_path / "v.nrrd"
    path.write_text(f"NRRD0005\n{SPACED}encoding: raw\ndata file: {data}\n")
    refused(path, text)
