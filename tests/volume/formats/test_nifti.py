"""The NIfTI reader against nibabel: with nibabel's test files and with new ones."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nifti_files import AFFINE, patched, save, voxels

from gpu_infer.errors import InputError
from gpu_infer.volume.read import read_volume

DATA = Path(nib.__file__).parent / "tests" / "data"
NIBABEL_FILES = sorted({*DATA.glob("*.nii*"), *DATA.glob("*.hdr")})
REFUSED = {
    "analyze.hdr": "Analyze header",
    "nifti1.hdr": "data file nifti1.img not found",
    "nifti2.hdr": "data file nifti2.img not found",
    "row_major.dconn.nii": "CIFTI-2",
}


def assert_equal_to_nibabel(path: Path) -> None:
    volume = read_volume(path)
    image = nib.load(path)
    expected = np.asanyarray(image.dataobj)
    expected = expected.reshape(*expected.shape[:3], -1)
    physical = np.moveaxis(volume.data * volume.slope + volume.inter, 0, -1)
    np.testing.assert_array_equal(physical, expected)
    np.testing.assert_array_equal(volume.geometry.affine, image.affine)
    assert volume.geometry.shape == image.shape[:3]
    assert volume.data.dtype.name == image.get_data_dtype().newbyteorder("=").name
    assert volume.data.dtype.isnative
    assert volume.data.flags.writeable
    assert volume.format == "nifti"


@pytest.mark.parametrize("path", NIBABEL_FILES, ids=lambda p: p.name)
def test_nibabels_own_files(path: Path) -> None:
    if path.name in REFUSED:
        with pytest.raises(InputError, match=REFUSED[path.name]) as caught:
            read_volume(path)
        assert str(path.parent) in str(caught.value)
    else:
        assert_equal_to_nibabel(path)


def test_there_are_files_of_nibabel() -> None:
    assert len(NIBABEL_FILES) >= 10


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_every_dtype_both_versions(tmp_path: Path, dtype: str, kind: type, name: str) -> None:
    path = save(tmp_path / name, voxels((4, 5, 6), dtype), kind=kind)
    assert_equal_to_nibabel(path)
    volume = read_volume(path)
    step = np.dtype(dtype).itemsize
    assert volume.data.strides[1:] == (step, 4 * step, 20 * step)  # as it lies in the file, not transposed


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_big_endian(tmp_path: Path, dtype: str) -> None:
    data = voxels((3, 4, 5), dtype)
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(dtype).newbyteorder(">"))
    image = nib.Nifti1Image(data, AFFINE, header)
    image.to_filename(tmp_path / "b.nii")
    assert nib.load(tmp_path / "b.nii").header.endianness == ">"
    assert_equal_to_nibabel(tmp_path / "b.nii")


@pytest.mark.parametrize(
    ("slope", "inter", "expected"),
    [(2.5, -1024.0, (2.5, -1024.0)), (0.0, 7.0, (1.0, 0.0)), (np.nan, np.nan, (1.0, 0.0)), (1.0, 0.0, (1.0, 0.0))],
)
def test_scaling_is_not_applied(tmp_path: Path, slope: float, inter: float, expected: tuple[float, float]) -> None:
    data = voxels((3, 4, 5))
    path = patched(tmp_path / "s.nii", data, scl_slope=slope, scl_inter=inter)
    volume = read_volume(path)
    assert (volume.slope, volume.inter) == expected
    np.testing.assert_array_equal(volume.data[0], data)
    np.testing.assert_array_equal(volume.data[0] * volume.slope + volume.inter, nib.load(path).get_fdata())


def test_pairs(tmp_path: Path) -> None:
    data = voxels((3, 4, 5))
    nib.Nifti1Pair(data, AFFINE).to_filename(tmp_path / "p.hdr")
    for name in ("p.hdr", "p.img"):
        volume = read_volume(tmp_path / name)
        np.testing.assert_array_equal(volume.data[0], data)
        assert [f.name for f in volume.files] == ["p.hdr", "p.img"]


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((4, 5, 6, 3), 3), ((4, 5, 6, 1, 2), 2), ((4, 5, 1), 1), ((4, 5, 1, 1), 1), ((1, 1, 1, 4), 4)],
)
def test_channels(tmp_path: Path, shape: tuple[int, ...], channels: int) -> None:
    data = voxels(shape)
    volume = read_volume(save(tmp_path / "c.nii", data))
    assert volume.channels == channels
    np.testing.assert_array_equal(np.moveaxis(volume.data, 0, -1), data.reshape(*shape[:3], channels))


@pytest.mark.parametrize("name", ["m.nii.gz", "one.nii.gz"])
def test_several_gzip_members_and_padding(tmp_path: Path, name: str) -> None:
    data = voxels((20, 21, 22))
    raw = save(tmp_path / "m.nii", data).read_bytes()
    cuts = [0, 100, 400, 5000, len(raw)] if name.startswith("m") else [0, len(raw)]
    packed = b"".join(gzip.compress(raw[a:b]) for a, b in pairwise(cuts))
    (tmp_path / name).write_bytes(packed + b"\0" * 512)
    np.testing.assert_array_equal(read_volume(tmp_path / name).data[0], data)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001)])
def test_units_become_millimetres(tmp_path: Path, unit: str, factor: float) -> None:
    image = nib.Nifti1Image(voxels((3, 4, 5)), AFFINE)
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "u.nii")
    volume = read_volume(tmp_path / "u.nii")
    np.testing.assert_allclose(volume.geometry.affine[:3], image.affine[:3] * factor, rtol=1e-6)
    assert any(unit in warning for warning in volume.warnings)


def test_forms_that_disagree_are_named_and_sform_counts(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels((3, 4, 5)), np.diag([2.0, 2, 2, 1]))
    moved = np.diag([2.0, 2, 2, 1])
    moved[0, 3] = 12.0
    image.set_sform(moved, code=1)
    image.set_qform(np.diag([2.0, 2, 2, 1]), code=1)
    image.to_filename(tmp_path / "f.nii")
    volume = read_volume(tmp_path / "f.nii")
    np.testing.assert_array_equal(volume.geometry.affine, moved)
    assert volume.warnings == ("qform and sform differ by up to 12 mm at the volume's corners: sform is used",)


def test_forms_that_agree_are_not_mentioned(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels((3, 4, 5)), np.diag([2.0, 2, 2, 1]))
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.to_filename(tmp_path / "f.nii")
    assert read_volume(tmp_path / "f.nii").warnings == ()


def test_neither_form_set(tmp_path: Path) -> None:
    path = patched(tmp_path / "n.nii", voxels((3, 4, 5)), sform_code=0, qform_code=0)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.geometry.affine, nib.load(path).affine)
    assert any(w.startswith("neither qform nor sform is set") for w in volume.warnings)


@pytest.mark.parametrize(
    ("dtype", "top", "expected"), [("int64", 1000, "int32"), ("uint64", 1000, "int32"), ("uint64", 2**32 - 1, "uint32")]
)
def test_64_bit_integers_that_fit(tmp_path: Path, dtype: str, top: int, expected: str) -> None:
    data = voxels((3, 4, 5), dtype)
    data[0, 0, 0] = top
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    nib.Nifti1Image(data, AFFINE, header, dtype=dtype).to_filename(tmp_path / "l.nii")
    volume = read_volume(tmp_path / "l.nii")
    assert volume.data.dtype == expected
    np.testing.assert_array_equal(volume.data[0], data)
    assert volume.warnings == (f"stored as {dtype}, kept as {expected}: all values fit",)


def test_64_bit_integers_that_do_not_fit(tmp_path: Path) -> None:
    data = np.full((3, 4, 5), 2**40, np.int64)
    nib.Nifti1Image(data, AFFINE, dtype="int64").to_filename(tmp_path / "l.nii")
    with pytest.raises(InputError, match=r"int64 values 1099511627776\.\.1099511627776 do not fit 32 bits"):
        read_volume(tmp_path / "l.nii")


def test_nan_voxels_stay(tmp_path: Path) -> None:
    data = voxels((3, 4, 5), "float32")
    data[1, 2, 3] = np.nan
    np.testing.assert_array_equal(read_volume(save(tmp_path / "n.nii", data)).data[0], data)


def test_voxels_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    data = np.zeros((5, 6, 7, 2), np.float32)
    data[1, 2, 3, 0], data[4, 5, 6, 1], data[0, 0, 0, 1] = np.nan, np.inf, -np.inf
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii.gz")
    (warning,) = [w for w in read_volume(tmp_path / "a.nii.gz").warnings if "NaN" in w]
    assert warning.startswith("3 of 420 voxels are NaN or infinite")
