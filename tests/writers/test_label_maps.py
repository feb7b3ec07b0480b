"""Label maps of a run: several fields, older outputs, and all of them or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import ConfigError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.label_maps import LabelMap, write_label_maps

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
