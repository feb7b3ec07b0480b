"""Label maps of a run: several fields and formats, older outputs, and all of them or none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.choices import Format
from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.label_maps import LabelMap, label_map_places, write_label_maps
from gpu_infer.writers.metaimage import HEADER_BYTES
from gpu_infer.writers.places import Place

GRID = Geometry((4, 3, 2), np.diag([1.0, 2.0, 3.0, 1.0]))
LUNG = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 1, 0)
LIVER = (LUNG.astype(np.int16) * 100)[::-1]


def test_one_file_pair_for_each_field(tmp_path: Path) -> None:
    written = write_label_maps(
        {"lung": LabelMap(LUNG, "uint16"), "liver": LabelMap(LIVER, "int16")}, GRID, tmp_path, "ct"
    )
    assert written == {
        "lung": {"mhd": [tmp_path / "ct.lung.mhd", tmp_path / "ct.lung.raw"]},
        "liver": {"mhd": [tmp_path / "ct.liver.mhd", tmp_path / "ct.liver.raw"]},
    }
    for files, labels, dtype in zip(written.values(), (LUNG, LIVER), ("uint16", "int16"), strict=True):
        read_back = sitk.GetArrayFromImage(sitk.ReadImage(files["mhd"][0])).T
        assert read_back.dtype == dtype
        np.testing.assert_array_equal(read_back, labels)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_label_that_does_not_fit_leaves_no_map(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="label 2300 does not fit the output dtype uint8"):
        write_label_maps({"lung": LabelMap(LUNG, "uint8"), "liver": LabelMap(LIVER, "uint8")}, GRID, tmp_path, "ct")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_free_leaves_no_map(tmp_path: Path) -> None:
    (tmp_path / "ct.liver.raw").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"ct\.liver\.raw: found a file of another program"):
        write_label_maps({"lung": LabelMap(LUNG, "uint8"), "liver": LabelMap(LIVER, "int16")}, GRID, tmp_path, "ct")
    assert [path.name for path in tmp_path.iterdir()] == ["ct.liver.raw"]


def test_compressed_voxels_of_an_older_map_are_removed(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(LUNG.T), tmp_path / "ct.mhd", True)
    (tmp_path / "other.zraw").write_bytes(b"mine")
    write_label_maps({"model": LabelMap(LUNG, "uint8")}, GRID, tmp_path, "ct")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct.mhd", "ct.raw", "other.zraw"]


def names(places: list[Place]) -> list[str]:
    return [place.path.name for place in places]


def test_places_of_fields_and_formats() -> None:
    folder = Path("/out")
    assert names(label_map_places(folder, "ct", {"model": ["mhd"]})) == ["ct.mhd", "ct.raw"]
    formats: dict[str, list[Format]] = {"lung": ["mhd", "nii.gz"], "liver": ["seg.nrrd"]}
    expected = ["ct.lung.mhd", "ct.lung.raw", "ct.lung.nii.gz", "ct.liver.seg.nrrd"]
    assert names(label_map_places(folder, "ct", formats)) == expected


def test_two_files_of_one_name_are_refused() -> None:
    """ct.a.seg.nrrd is the segmentation of the field a, and the NRRD of a.seg."""
    with pytest.raises(ConfigError, match=r"ct\.a\.seg\.nrrd: 2 label maps would have this name, expected one"):
        label_map_places(Path("/out"), "ct", {"a": ["seg.nrrd"], "a.seg": ["nrrd"]})


def test_every_format_of_every_field_or_none(tmp_path: Path) -> None:
    maps = {field: LabelMap(LUNG, "uint8", tuple(FORMATS)) for field in ("a", "b")}
    written = write_label_maps(maps, GRID, tmp_path, "ct")
    older = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    assert len(older) == 2 * (len(FORMATS) + 1)
    written["b"]["seg.nrrd"][0].write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"ct\.b\.seg\.nrrd: found a file of another program"):
        write_label_maps(maps, GRID, tmp_path, "ct")
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == older


@pytest.mark.parametrize("each", FORMATS)
def test_a_full_disk_leaves_the_older_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: Format) -> None:
    maps = {"model": LabelMap(LUNG, "uint8", (each,))}
    write_label_maps(maps, GRID, tmp_path, "ct")
    older = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def blocks(*_: object) -> Iterator[memoryview]:
        yield memoryview(b"x" * 24)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for module in ("metaimage", "formats.mha", "formats.nifti", "formats.nrrd"):
        monkeypatch.setattr(f"gpu_infer.writers.{module}.voxel_blocks", blocks)
    with pytest.raises(ResourceError, match="No space left on device"):
        write_label_maps(maps, GRID, tmp_path, "ct")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == older


def test_compressed_formats_need_less_space_than_plain_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected: list[int] = []
    monkeypatch.setattr("gpu_infer.writers.label_maps.check_space", lambda _, nbytes: expected.append(nbytes))
    for each in FORMATS:
        write_label_maps({"model": LabelMap(LUNG, "uint8", (each,))}, GRID, tmp_path, "ct")
    plain, packed = HEADER_BYTES + 24, HEADER_BYTES
    assert dict(zip(FORMATS, expected, strict=True)) == {
        **dict.fromkeys(("mhd", "mha", "nii"), plain),
        **dict.fromkeys(("nii.gz", "nrrd", "seg.nrrd"), packed),
    }
