"""Volumes from paths: what is missing, several files as channels, scaling and grids that differ."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gpu_infer.errors import InputError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.input_files import choose_files
from gpu_infer.volume.read import read_header, read_volume, read_voxels
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.metaimage import write_metaimage


def read_volumes(paths: list[Path]) -> Volume:
    """As a run reads the channels of several files."""
    return read_voxels(read_header(paths))


def nifti(path: Path, value: int = 0, dtype: str = "int16", slope: float | None = None, shift: float = 0.0) -> Path:
    affine = np.diag([1.0, 2, 3, 1])
    affine[0, 3] = shift
    data = np.arange(60, dtype=dtype).reshape(3, 4, 5) + np.dtype(dtype).type(value)
    image = nib.Nifti1Image(data, affine)
    if slope is not None:
        image.header.set_slope_inter(slope, 10)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("name", ["lost.nii", "lost.mhd", "lost.nrrd", "lost.xyz"])
def test_missing_files(tmp_path: Path, name: str) -> None:
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


def test_one_file_is_not_converted(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", slope=2.0)
    assert read_volumes([path]).slope == read_volume(path).slope == 2.0


def test_files_of_different_scaling_are_read_in_physical_units(tmp_path: Path) -> None:
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


def test_files_by_pattern_become_channels(tmp_path: Path) -> None:
    geometry = Geometry((4, 3, 2), np.diag([1.0, 2.0, 3.0, 1.0]))
    for n, name in enumerate(("a_t1", "a_t2")):
        write_metaimage(np.full((4, 3, 2), n + 1, np.uint8), geometry, tmp_path, name)
    volume = read_volumes(choose_files(tmp_path, ["*_t2.mhd", "*_t1.mhd"]))
    assert volume.channels == 2
    assert [int(c.max()) for c in volume.data] == [2, 1]
