"""Reading needs little memory in addition to the array of the voxels, whatever the format is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from traced_memory import traced

from bench.sides.dicom_series import write_series
from bench.support.ct import phantom
from gpu_infer.volume.read import read_header, read_voxels
from gpu_infer.volume.volume import Volume

SHAPE = (512, 512, 128)
"""64 MiB of int16: the buffer of compressed bytes, 8 MiB, is no fifth of it."""


@pytest.fixture(scope="module")
def volume() -> Volume:
    return phantom(SHAPE)


def by_itk(name: str, packed: bool) -> Callable[[Volume, Path], Path]:
    def write(volume: Volume, folder: Path) -> Path:
        sitk.WriteImage(sitk.GetImageFromArray(volume.data[0].transpose(2, 1, 0)), folder / name, packed)
        return folder / name

    return write


def as_series(volume: Volume, folder: Path) -> Path:
    return write_series(volume, folder / "series", None)


WRITERS = {
    ".nii": by_itk("v.nii", False),
    ".mhd with .raw": by_itk("v.mhd", False),
    ".mhd with .zraw": by_itk("v.mhd", True),
    ".mha, compressed": by_itk("v.mha", True),
    ".nrrd": by_itk("v.nrrd", False),
    ".nrrd, gzip": by_itk("v.nrrd", True),
    "DICOM": as_series,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_fifth_of_the_array_at_most(name: str, volume: Volume, tmp_path: Path) -> None:
    header = read_header([WRITERS[name](volume, tmp_path)])  # it imports what the format needs
    read, peak = traced(lambda: read_voxels(header))
    assert read.data.dtype == np.int16
    np.testing.assert_array_equal(
        read.data, volume.data[..., : read.data.shape[-1]]
    )  # a series has the first 64 slices
    assert peak <= 1.2 * read.data.nbytes
