"""NRRD files for tests, and what ITK reads from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import InputError
from gpu_infer.volume.read import read_volume

VOXELS = np.random.default_rng(4).integers(-900, 900, (4, 3, 2)).astype("<i2")  # [k, j, i]
BASE = "type: short\ndimension: 3\nsizes: 2 3 4\nendian: little\n"
DIRECTIONS = "space directions: (1,0,0.25) (0,2,0) (-0.75,0,3)\nspace origin: (10,20,30)\n"
SPACED = BASE + "space: left-posterior-superior\n" + DIRECTIONS
FOUR = BASE.replace("dimension: 3", "dimension: 4") + "space: LPS\n"


def write(folder: Path, lines: str, voxels: bytes | None = None, encoding: str = "raw") -> Path:
    path = folder / "v.nrrd"
    head = f"NRRD0005\n{lines}encoding: {encoding}\n\n"
    path.write_bytes(head.encode() + (VOXELS.tobytes() if voxels is None else voxels))
    return path


def refused(path: Path, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def assert_as_itk(path: Path) -> None:
    image, volume = sitk.ReadImage(path), read_volume(path)
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.moveaxis(array, -1, 0)
    np.testing.assert_array_equal(volume.data, array.reshape(-1, *array.shape[-3:]).transpose(0, 3, 2, 1))
    i, j, k = volume.geometry.shape
    for index in ((0, 0, 0), (i - 1, 0, 0), (0, j - 1, 0), (0, 0, k - 1)):
        itk_index = (*index, 0)[: image.GetDimension()]
        x, y, z = image.TransformIndexToPhysicalPoint(itk_index)[:3]
        np.testing.assert_allclose(volume.geometry.affine @ (*index, 1), (-x, -y, z, 1), atol=1e-12)
