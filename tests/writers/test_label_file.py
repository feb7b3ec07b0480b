"""A label map in a file that is written box by box: its voxels, its holes, and every format that is made of it."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.label_file import LabelFile
from gpu_infer.writers.label_maps import LabelMap, write_label_maps
from gpu_infer.writers.voxel_blocks import voxel_blocks

SHAPE = (11, 9, 8)


def random_labels(dtype: str) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4, SHAPE).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32"])
def test_boxes_in_any_order(tmp_path: Path, dtype: str) -> None:
    labels = random_labels(dtype)
    with LabelFile(tmp_path / "labels", SHAPE, np.dtype(dtype)) as file:
        for k in (5, 0, 2):
            for j in (6, 0):
                file.write(labels[:, j : j + (3 if j else 6), k : k + 3], j, k)
        np.testing.assert_array_equal(file.slices(0, 8), labels.T)
        np.testing.assert_array_equal(file.slices(3, 99), labels.T[3:])
        assert file.max() == labels.max()
        assert b"".join(voxel_blocks(file, file.dtype)) == labels.tobytes(order="F")


def test_background_takes_no_space(tmp_path: Path) -> None:
    shape = (1024, 1024, 64)
    with LabelFile(tmp_path / "labels", shape, np.dtype(np.uint8)) as file:
        file.write(np.zeros((1024, 1024, 40), np.uint8), 0, 3)
        assert file.max() == 0
    status = (tmp_path / "labels").stat()
    assert status.st_size == 1 << 26
    assert status.st_blocks * 512 < 1 << 16


def test_every_format_has_the_labels(tmp_path: Path) -> None:
    labels = random_labels("uint8")
    geometry = Geometry(SHAPE, np.diag([-0.5, -0.5, 2.0, 1.0]))
    (tmp_path / "out").mkdir()
    with LabelFile(tmp_path / "labels", SHAPE, labels.dtype) as file:
        file.write(labels, 0, 0)
        formats = ("mhd", "mha", "nii", "nii.gz", "nrrd")
        label_map = LabelMap(file, np.uint8, formats)  # type: ignore[arg-type]
        write_label_maps({"model": label_map}, geometry, tmp_path / "out", "case")
        (tmp_path / "other").mkdir()
        write_label_maps({"model": LabelMap(labels, np.uint8, formats)}, geometry, tmp_path / "other", "case")
    for path in (tmp_path / "other").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "out" / "case.mhd")), labels.T)
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out" / "case.nii.gz").dataobj), labels)


def test_the_raw_file_is_another_name_of_it_or_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry, labels = Geometry(SHAPE, np.eye(4)), random_labels("uint8")
    with LabelFile(tmp_path / "labels", SHAPE, labels.dtype) as file:
        file.write(labels, 0, 0)
        for name in ("linked", "copied"):
            (tmp_path / name).mkdir()
            write_label_maps({"model": LabelMap(file, np.uint8)}, geometry, tmp_path / name, "case")  # type: ignore[arg-type]
            monkeypatch.setattr(os, "link", _no_link)
    assert (tmp_path / "linked" / "case.raw").samefile(tmp_path / "labels")
    assert not (tmp_path / "copied" / "case.raw").samefile(tmp_path / "labels")
    assert (tmp_path / "copied" / "case.raw").read_bytes() == labels.tobytes(order="F")


def _no_link(*_: object) -> None:
    raise OSError(95, "Operation not supported")
