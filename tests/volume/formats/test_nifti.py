"""The NIfTI reader against nibabel: with nibabel's test files and with new ones."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
AFFINE = np.array([[-0.7, 0.1, 0, 10], [0.05, 1.1, -0.2, -20], [0, 0.3, 2.5, 30], [0, 0, 0, 1]])


def voxels(shape: tuple[int, ...], dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(1).integers(0, 100, shape).astype(dtype)


def save(path: Path, data: np.ndarray, *, kind: type = nib.Nifti1Image, **fields: object) -> Path:
    """A file written by nibabel; `fields` are put into the header afterwards, past all its checks."""
    header = kind.header_class()
    header.set_data_dtype(data.dtype)
    image = kind(data, AFFINE, header)
    for key, value in fields.items():
        image.header[key] = value
    image.to_filename(path)
    return path


def patched(path: Path, data: np.ndarray, **fields: object) -> Path:
    """A NIfTI-1 .nii whose header fields are overwritten in the bytes: what no library would write."""
    save(path, data)
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(raw, nib.Nifti1Header.template_dtype, count=1)
    for key, value in fields.items():
        header[key] = value
    path.write_bytes(raw)
    return path


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


@pytest.mark.parametrize("code", [1, 32, 128, 1792, 2304])
def test_voxel_types_that_are_no_real_numbers(tmp_path: Path, code: int) -> None:
    path = patched(tmp_path / "t.nii", np.zeros((3, 4, 50), np.int16), datatype=code)
    with pytest.raises(InputError, match=r"t\.nii: ") as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert str(code) in str(caught.value) or "not recognized" in str(caught.value)


def zero(path: Path) -> Path:
    return patched(path, voxels((3, 4, 5)), pixdim=(1, 0.7, 0, 2.5, 0, 0, 0, 0))


def negative(path: Path) -> Path:
    return patched(path, voxels((3, 4, 5)), pixdim=(1, -1, 1, 1, 0, 0, 0, 0), sform_code=0, qform_code=1)


def nan(path: Path) -> Path:
    return patched(path, voxels((3, 4, 5)), srow_x=(np.nan, 0, 0, 0))


def nan_qform(path: Path) -> Path:
    return patched(path, voxels((3, 4, 5)), sform_code=0, qform_code=1, quatern_b=np.nan)


def bad_quaternion(path: Path) -> Path:
    return patched(path, voxels((3, 4, 5)), sform_code=0, qform_code=1, quatern_b=1.5)


def zero_column(path: Path) -> Path:
    return patched(path, voxels((3, 4, 5)), srow_x=(0, 0, 0, 1), srow_y=(0, 1, 0, 1), srow_z=(0, 0, 1, 1))


def singular(path: Path) -> Path:
    return patched(path, voxels((3, 4, 5)), srow_x=(1, 1, 0, 1), srow_y=(1, 1, 0, 1), srow_z=(0, 0, 1, 1))


def flat(path: Path) -> Path:
    return save(path, voxels((3, 4)))


def line(path: Path) -> Path:
    return save(path, voxels((3,)))


def two_extra_axes(path: Path) -> Path:
    return save(path, voxels((3, 4, 5, 2, 3)))


def truncated(path: Path) -> Path:
    save(path, voxels((3, 4, 5)))
    path.write_bytes(path.read_bytes()[:-20])
    return path


def no_voxels(path: Path) -> Path:
    save(path, voxels((3, 4, 5)))
    path.write_bytes(path.read_bytes()[:352])
    return path


def short_header(path: Path) -> Path:
    path.write_bytes(b"\x5c\x01\0\0" + bytes(100))
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def noise(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(2000))
    return path


def scaling(path: Path) -> Path:
    return patched(path, voxels((3, 4, 5)), scl_slope=2, scl_inter=np.inf)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (zero, r"spacing \(pixdim\) is .* mm, expected positive numbers"),
        (negative, r"spacing \(pixdim\) is \(-1\.0, 1\.0, 1\.0\) mm, expected positive"),
        (nan, "NaN or infinity in the affine"),
        (nan_qform, "NaN or infinity in the affine|broken orientation"),
        (bad_quaternion, "broken orientation"),
        (zero_column, "spacing is 0 along axis 0"),
        (singular, "singular affine"),
        (flat, r"2-D file: found shape \(3, 4\), expected three axes"),
        (line, "2-D file"),
        (two_extra_axes, r"shape \(3, 4, 5, 2, 3\)"),
        (truncated, "truncated: found 100 bytes of voxels, expected 120"),
        (no_voxels, "truncated: found 0 bytes of voxels, expected 120"),
        (short_header, "truncated: found 104 bytes of header, expected 348"),
        (empty, "truncated: found 0 bytes of header"),
        (noise, "unknown header, expected NIfTI-1 or NIfTI-2"),
        (scaling, "scl_inter inf, expected numbers"),
    ],
)
def test_bad_files(tmp_path: Path, make, text: str) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path / "bad.nii")
    with pytest.raises(InputError, match=text) as caught:
        read_volume(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert caught.value.remedy
    assert caught.value.exit_code == 3


@given(st.data())
def test_truncated_gz_is_always_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Cut anywhere: in the header, in the voxels, in the check sum."""
    whole = save(tmp_path / "w.nii.gz", voxels((10, 11, 12))).read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(whole[:cut])
    with pytest.raises(InputError, match="truncated"):
        read_volume(path)


def test_truncated_gz_is_refused_with_its_size(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 60000, (40, 41, 42)).astype(np.uint16)
    path = save(tmp_path / "t.nii.gz", data)
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(InputError, match=rf"found \d{{5}} bytes of voxels, expected {data.nbytes}"):
        read_volume(path)


def test_damaged_gz(tmp_path: Path) -> None:
    path = save(tmp_path / "d.nii.gz", np.random.default_rng(0).integers(0, 60000, (40, 41, 42)).astype(np.uint16))
    raw = bytearray(path.read_bytes())
    raw[-2000] ^= 0x55
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged compressed data"):
        read_volume(path)


def test_plain_nifti_named_gz(tmp_path: Path) -> None:
    save(tmp_path / "p.nii", voxels((3, 4, 5))).rename(tmp_path / "p.nii.gz")
    with pytest.raises(InputError, match="damaged compressed data: incorrect header check"):
        read_volume(tmp_path / "p.nii.gz")


def test_a_header_that_declares_terabytes(tmp_path: Path) -> None:
    path = patched(tmp_path / "h.nii", voxels((3, 4, 5)), dim=(3, 30000, 30000, 30000, 1, 1, 1, 1))
    with pytest.raises(InputError, match="truncated: found 120 bytes of voxels, expected 54000000000000"):
        read_volume(path)
    (tmp_path / "h.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match="truncated: found at most"):
        read_volume(tmp_path / "h.nii.gz")
