"""Which older files a run replaces: its own, unchanged ones."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_infer.choices import Format
from gpu_infer.errors import ConfigError
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.label_maps import LabelMap, label_map_places, write_label_maps
from gpu_infer.writers.places import check_places

GRID = Geometry((5, 4, 3), np.diag([-0.7, -0.7, 2.5, 1.0]))
LABELS = np.arange(60, dtype=np.uint8).reshape(GRID.shape)
NAMES = LabelTable({1: Label(1, "lung", (1, 2, 3))})
SINGLE: tuple[Format, ...] = ("mha", "nii.gz", "nii", "nrrd", "seg.nrrd")


def write(folder: Path, name: Format, table: LabelTable | None = None) -> Path:
    maps = {"model": LabelMap(LABELS, "uint8", (name,))}
    return write_label_maps(maps, GRID, folder, "ct", table=table)["model"][name][0]


def refused(folder: Path, path: Path, name: Format) -> None:
    """Check and write refuse the file, and leave it as it is."""
    before = path.read_bytes()
    text = (
        rf"ct\.{name}: found a file of another program, expected none or a label map that gpu_infer wrote as \.{name}"
    )
    with pytest.raises(ConfigError, match=text):
        check_places(label_map_places(folder, "ct", {"model": [name]}))
    with pytest.raises(ConfigError, match=text):
        write(folder, name)
    assert path.read_bytes() == before
    assert [each.name for each in folder.iterdir()] == [path.name]


@pytest.mark.parametrize("table", [None, NAMES], ids=["plain", "named"])
@pytest.mark.parametrize("name", FORMATS)
def test_an_older_output_is_replaced(tmp_path: Path, name: Format, table: LabelTable | None) -> None:
    path = write(tmp_path, name, table)
    older = path.stat().st_ino
    check_places(label_map_places(tmp_path, "ct", {"model": [name]}))
    assert write(tmp_path, name) == path
    assert path.stat().st_ino != older


@pytest.mark.parametrize("name", ["nii", "nii.gz"])
def test_an_older_nifti_2_is_replaced_and_an_edited_one_is_not(tmp_path: Path, name: Format) -> None:
    maps = {"model": LabelMap(np.zeros((40000, 1, 2), np.uint8), "uint8", (name,))}
    long = Geometry((40000, 1, 2), np.eye(4))
    (path,) = write_label_maps(maps, long, tmp_path, "ct", table=NAMES)["model"][name]
    assert write_label_maps(maps, long, tmp_path, "ct")["model"][name] == [path]
    image = nib.load(path)
    assert image.header["descrip"].item().startswith(b"gpu_infer labels")
    nib.save(nib.Nifti2Image(np.ones((40000, 1, 2), np.uint8), image.affine, image.header), path)
    refused(tmp_path, path, name)


@pytest.mark.parametrize("name", SINGLE)
def test_a_file_that_itk_saved_again_is_not_replaced(tmp_path: Path, name: Format) -> None:
    path = write(tmp_path, name, NAMES)
    image = sitk.ReadImage(path)
    sitk.WriteImage(image, path)
    refused(tmp_path, path, name)
    image[1, 1, 1] = 7
    sitk.WriteImage(image, path, True)
    refused(tmp_path, path, name)


@pytest.mark.parametrize("name", ["nii.gz", "nii"])
def test_a_file_that_nibabel_saved_again_is_not_replaced(tmp_path: Path, name: Format) -> None:
    path = write(tmp_path, name, NAMES)
    image = nib.load(path)
    edited = np.asarray(image.dataobj).copy()
    edited[0, 0, 0] = 3
    nib.save(nib.Nifti1Image(edited, image.affine, image.header), path)
    assert b"gpu_infer" in nib.load(path).header["descrip"].item()
    refused(tmp_path, path, name)


def test_a_nifti_header_that_was_edited_in_place_is_not_replaced(tmp_path: Path) -> None:
    path = write(tmp_path, "nii")
    content = bytearray(path.read_bytes())
    content[280:284] = np.float32(-0.9).tobytes()  # srow_x[0]
    path.write_bytes(content)
    refused(tmp_path, path, "nii")


@pytest.mark.parametrize("name", ["nrrd", "seg.nrrd"])
def test_a_nrrd_header_that_was_edited_is_not_replaced(tmp_path: Path, name: Format) -> None:
    path = write(tmp_path, name, NAMES)
    path.write_bytes(path.read_bytes().replace(b"-229", b"-228").replace(b"left-posterior", b"right-anterior", 1))
    refused(tmp_path, path, name)


@pytest.mark.parametrize("name", ["nrrd", "seg.nrrd"])
def test_a_file_that_pynrrd_saved_again_is_not_replaced(tmp_path: Path, name: Format) -> None:
    path = write(tmp_path, name, NAMES)
    data, header = nrrd.read(str(path))
    nrrd.write(str(path), data, header)
    refused(tmp_path, path, name)


def test_a_file_that_was_packed_or_unpacked_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    packed, plain = write(tmp_path / "a", "nii.gz"), write(tmp_path / "b", "nii")
    unpacked_content, plain_content = gzip.decompress(packed.read_bytes()), plain.read_bytes()
    plain.write_bytes(unpacked_content)
    packed.write_bytes(gzip.compress(plain_content))
    refused(tmp_path / "a", packed, "nii.gz")
    refused(tmp_path / "b", plain, "nii")


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b\x08\x10", b"NRRD0004\n\n", b"\x5c\x01\0\0", b"\0" * 4000])
def test_any_other_content_is_not_replaced(tmp_path: Path, name: Format, content: bytes) -> None:
    path = tmp_path / f"ct.{name}"
    path.write_bytes(content)
    refused(tmp_path, path, name)


@pytest.mark.parametrize("name", SINGLE)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_not_replaced(tmp_path: Path, name: Format, data: st.DataObject) -> None:
    """One byte of the header differs, or the file ends there. In the last two, the mark covers less than the header."""
    folder = tmp_path / "made"
    folder.mkdir(exist_ok=True)
    (folder / f"ct.{name}").unlink(missing_ok=True)
    content = write(folder, name, NAMES).read_bytes()
    place = data.draw(st.integers(0, 200))
    change = bytes([content[place] ^ data.draw(st.integers(1, 255))])
    path = tmp_path / "damaged"
    path.write_bytes(content[:place] + data.draw(st.sampled_from([b"", change + content[place + 1 :]])))
    assert FORMATS[name].is_ours(path) in ([False, True] if name in ("nii.gz", "mha") else [False])


@pytest.mark.parametrize("name", SINGLE)
def test_the_input_itself_is_not_replaced(tmp_path: Path, name: Format) -> None:
    """Also if an older run wrote it: somebody segments a label map."""
    path = write(tmp_path, name)
    with pytest.raises(ConfigError, match=rf"ct\.{name}: is the input itself"):
        check_places(label_map_places(tmp_path, "ct", {"model": [name]}), [path])
    other = tmp_path / "linked"
    other.hardlink_to(path)
    with pytest.raises(ConfigError, match=f"is the input file {other}"):
        check_places(label_map_places(tmp_path, "ct", {"model": [name]}), [other])


def test_links_and_folders_are_refused(tmp_path: Path) -> None:
    target = write(tmp_path, "nii.gz")
    shutil.move(target, tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "ct.nrrd").mkdir()
    for name, kind in (("nii.gz", "link"), ("nrrd", "folder")):
        with pytest.raises(ConfigError, match=f"found a {kind}, expected no file or an older output"):
            check_places(label_map_places(tmp_path, "ct", {"model": [name]}))  # type: ignore[list-item]
