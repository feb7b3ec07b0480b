"""The phantoms of bench.large: plain volumes that other readers read, and a comparison that finds one wrong label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.sides.large_phantom import compare, data_file, make_phantom
from gpu_infer.volume.read import read_volume
from gpu_infer.writers.metaimage import write_metaimage

SHAPE = (40, 44, 120)


@pytest.mark.parametrize("ending", ["mhd", "nii", "nii.gz"])
def test_one_wrong_label_is_found(tmp_path: Path, ending: str) -> None:
    path = make_phantom(tmp_path / f"case.{ending}", SHAPE)
    volume = read_volume(path)
    voxels = volume.data[0]
    assert voxels.shape == SHAPE
    assert voxels.dtype == np.uint16
    assert 0.01 < (voxels > 500).mean() < 0.5
    labels = (voxels > 500).astype(np.uint8)
    header, _ = write_metaimage(labels, volume.geometry, tmp_path, "labels")
    assert compare(path, header, SHAPE) == 0
    labels[13, 21, 77] ^= 1
    header, _ = write_metaimage(labels, volume.geometry, tmp_path, "labels")
    assert compare(path, header, SHAPE) == 1
    assert data_file(header).stat().st_size == labels.size
