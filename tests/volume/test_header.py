"""The header of a volume without its voxels, and voxels that are NaN or infinite."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import InputError
from gpu_infer.volume.read import read_header, read_voxels

DATA = np.random.default_rng(6).integers(0, 99, (5, 4, 3)).astype(np.int16)


def nifti(path: Path, data: np.ndarray, slope: float | None = None, inter: float = 0.0) -> Path:
    kind = nib.Nifti1Header(endianness=">" if data.dtype.byteorder == ">" else "<")
    image = nib.Nifti1Image(data, np.diag([1.0, 2, 3, 1]), kind, dtype=data.dtype)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "v.mhd", "v.mha", "v.nrrd"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_header_describes_its_volume(tmp_path: Path, name: str, channels: int) -> None:
    path = tmp_path / name
    if name.startswith("v.nii"):
        nifti(path, DATA if channels == 1 else np.stack([DATA, DATA], axis=-1))
    else:
        array = DATA.T if channels == 1 else np.stack([DATA.T, DATA.T], axis=-1)
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=channels > 1), path)
    header = read_header([path])
    volume = read_voxels(header)
    assert header.geometry.shape == volume.geometry.shape == (5, 4, 3)
    assert (header.channels, header.dtype, header.nbytes) == (channels, np.int16, 120 * channels)
    assert (volume.channels, volume.dtype, volume.nbytes) == (channels, np.int16, 120 * channels)
    assert (header.files, header.format, header.path) == (volume.files, volume.format, path)
    assert header.describe()["files"] == [str(file) for file in volume.files]
    assert header.extra == 0


def test_a_header_is_read_without_voxels(tmp_path: Path) -> None:
    """Damage among compressed voxels shows when they are read."""
    path = nifti(tmp_path / "v.nii.gz", np.random.default_rng(0).integers(0, 60000, (30, 30, 30)).astype(np.uint16))
    raw = bytearray(path.read_bytes())
    raw[-3000] ^= 0x55
    path.write_bytes(raw)
    header = read_header([path])
    assert header.geometry.shape == (30, 30, 30)
    with pytest.raises(InputError, match="damaged compressed data"):
        read_voxels(header)


def test_a_huge_volume_has_a_header(tmp_path: Path) -> None:
    """2 TiB of voxels in a sparse file: nothing is allocated for them."""
    path = nifti(tmp_path / "v.nii", DATA)
    raw = bytearray(path.read_bytes())
    raw[42:48] = np.array([10000, 10000, 10000], "<i2").tobytes()
    with path.open("wb") as file:
        file.write(raw)
        file.truncate(352 + 2 * 10**12)
    assert read_header([path]).nbytes == 2 * 10**12


@pytest.mark.parametrize(("dtype", "in_memory", "extra"), [("int64", "int32", 480), (">i2", "int16", 0)])
def test_types_that_change_take_memory_temporarily(tmp_path: Path, dtype: str, in_memory: str, extra: int) -> None:
    """Another type needs a second array; another byte order does not."""
    header = read_header([nifti(tmp_path / "v.nii", DATA.astype(dtype))])
    assert (header.dtype, header.extra) == (np.dtype(in_memory), extra)
    assert read_voxels(header).dtype == in_memory


def test_channels_of_several_files(tmp_path: Path) -> None:
    paths = [nifti(tmp_path / "a.nii", DATA), nifti(tmp_path / "b.nii", DATA + np.int16(1), 2.0, 3.0)]
    header = read_header(paths)
    assert (header.channels, header.dtype, header.nbytes) == (2, np.float32, 480)
    assert header.extra == 120  # one file's voxels at a time
    assert header.files == tuple(paths)
    volume = read_voxels(header)
    np.testing.assert_array_equal(volume.data, np.stack([DATA, (DATA + 1) * 2.0 + 3]).astype(np.float32))
    np.testing.assert_array_equal(read_voxels(read_header(paths)).data, volume.data)
    assert volume.files == tuple(paths)


def test_64_bit_files_that_do_not_become_one_type(tmp_path: Path) -> None:
    """Values above 2^31 need uint32, the other file's int32: neither may wrap."""
    paths = [nifti(tmp_path / "a.nii", DATA.astype(np.int64)), nifti(tmp_path / "b.nii", DATA + np.int64(2**31))]
    with pytest.raises(InputError, match=r"b\.nii: values do not fit int32"):
        read_voxels(read_header(paths))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("slope", "inter", "stored"), [(None, 0.0, 7.0), (2.0, 3.0, 2.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4"])
def test_a_value_replaces_nan_and_infinity(
    tmp_path: Path, wrong: float, slope: float | None, inter: float, stored: float, dtype: str
) -> None:
    data = DATA.astype(dtype)
    data[1, 2, :2] = wrong
    header = read_header([nifti(tmp_path / "v.nii", data, slope, inter)])
    as_stored = read_voxels(header)
    assert as_stored.not_finite == 2
    assert as_stored.warnings[-1].startswith("2 of 60 voxels are NaN or infinite: labels")
    np.testing.assert_array_equal(as_stored.data[0], data)
    volume = read_voxels(header, nan=7.0)
    data[1, 2, :2] = stored  # 7 in physical units
    np.testing.assert_array_equal(volume.data[0], data)
    assert volume.not_finite == 0
    assert volume.warnings[-1] == "2 of 60 voxels are NaN or infinite: replaced by 7"


def test_finite_voxels_and_integers_are_not_touched(tmp_path: Path) -> None:
    for dtype in ("int16", "float32"):
        volume = read_voxels(read_header([nifti(tmp_path / "v.nii", DATA.astype(dtype))]), nan=0.0)
        np.testing.assert_array_equal(volume.data[0], DATA)
        assert (volume.not_finite, volume.warnings) == (0, ())
