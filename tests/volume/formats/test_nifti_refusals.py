"""NIfTI files that are refused: headers with contradictions, truncated and damaged ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nifti_files import patched, save, voxels

from gpu_infer.errors import InputError
from gpu_infer.volume.read import read_volume


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
