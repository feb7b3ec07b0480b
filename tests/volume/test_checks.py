"""Checks of every volume: grids, dtypes that can be read and what becomes of them, voxels that are not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_infer.errors import InputError
from gpu_infer.volume.checks import (
    SUPPORTED_DTYPES,
    check_finite_voxels,
    check_geometry,
    conversion_bytes,
    convert_voxels,
    memory_dtype,
)
from gpu_infer.volume.geometry import Geometry

SHAPE = (5, 4, 3)
PATH = Path("ct.nii")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a: a.__setitem__((0, 1), np.nan), "NaN or infinity in the affine"),
        (lambda a: a.__setitem__((2, 3), np.inf), "NaN or infinity in the affine"),
        (lambda a: a.__setitem__((1, 1), 1e300), "expected numbers below 1e\\+09 mm"),
        (lambda a: a.__setitem__((slice(0, 3), 1), 0.0), "spacing is 0 along axis 1"),
        (lambda a: a.__setitem__((slice(0, 3), 1), a[:3, 0]), "singular affine"),
    ],
)
def test_what_is_no_grid_is_refused(change, text: str) -> None:  # type: ignore[no-untyped-def]
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    change(affine)
    with pytest.raises(InputError, match=text) as caught:
        check_geometry(Geometry(SHAPE, affine), Path("ct.nii"))
    assert str(caught.value).startswith("ct.nii: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_sheared_and_tiny_grids_are_grids() -> None:
    sheared = np.array([[1, 0.3, 0, 0], [0, 1, 0.2, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    check_geometry(Geometry(SHAPE, sheared), Path("a"))
    check_geometry(Geometry((1, 1, 1), np.diag([1e-4, 1e-4, 1e-4, 1.0])), Path("a"))


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(5, 0, 3\) has an empty axis"):
        check_geometry(Geometry((5, 0, 3), np.eye(4)), PATH)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", SUPPORTED_DTYPES)
def test_supported_dtypes_stay(dtype: str, order: str) -> None:
    stored = np.arange(24).reshape(1, 2, 3, 4).astype(np.dtype(dtype).newbyteorder(order)).transpose(0, 3, 2, 1)
    expected = stored.copy()
    voxels, warnings = convert_voxels(stored, PATH)
    assert voxels.dtype == np.dtype(dtype) == memory_dtype(stored.dtype, PATH)
    assert voxels.dtype.isnative
    assert warnings == ()
    np.testing.assert_array_equal(voxels, expected)
    assert voxels.strides[1:] == stored.strides[1:]
    assert np.shares_memory(voxels, stored)
    assert conversion_bytes(stored.dtype, 24) == 0


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("int64", [-(2**31), 2**31 - 1], "int32"),
        ("int64", [0, 2**32 - 1], "uint32"),
        ("uint64", [0, 2**31 - 1], "int32"),
        ("uint64", [0, 2**31], "uint32"),
    ],
)
def test_64_bit_integers_become_32_bit_ones(dtype: str, values: list[int], expected: str, order: str) -> None:
    stored = np.array(values, np.dtype(dtype).newbyteorder(order))
    voxels, warnings = convert_voxels(stored, PATH)
    assert voxels.dtype == expected
    assert [int(v) for v in voxels] == values
    assert warnings == (f"stored as {dtype}, kept as {expected}: all values fit",)
    assert memory_dtype(stored.dtype, PATH) == "int32"  # stands for both
    assert conversion_bytes(stored.dtype, 2) == 16


@pytest.mark.parametrize(("dtype", "values"), [("int64", [-1, 2**31]), ("uint64", [0, 2**32])])
def test_64_bit_integers_that_do_not_fit(dtype: str, values: list[int]) -> None:
    with pytest.raises(InputError, match=rf"ct\.nii: {dtype} values {values[0]}\.\.{values[1]} do not fit 32 bits"):
        convert_voxels(np.array(values, dtype), PATH)


def test_long_doubles_become_doubles() -> None:
    stored = np.array([0.5, -1e300], np.longdouble)
    voxels, warnings = convert_voxels(stored, PATH)
    assert voxels.dtype == np.float64 == memory_dtype(stored.dtype, PATH)
    np.testing.assert_array_equal(voxels, [0.5, -1e300])
    assert warnings == (f"stored as {stored.dtype.name}, kept as float64",)
    assert conversion_bytes(stored.dtype, 2) == 2 * stored.itemsize


@pytest.mark.parametrize("dtype", ["float16", "bool", "complex64", "datetime64[s]", "S3"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    text = r"voxel type .* is not supported, expected one of int8, uint8"
    with pytest.raises(InputError, match=text):
        memory_dtype(np.dtype(dtype), PATH)
    with pytest.raises(InputError, match=text):
        convert_voxels(np.zeros(2, dtype), PATH)


def test_voxels_that_are_not_finite_are_counted_or_replaced() -> None:
    data = np.arange(24, dtype=np.float32).reshape(1, 4, 3, 2)
    assert check_finite_voxels(data) == (0, ())
    data[0, 0, 0, 0], data[0, 3, 2, 1] = np.nan, -np.inf
    count, warnings = check_finite_voxels(data)
    assert (count, len(warnings)) == (2, 1)
    assert warnings[0].startswith("2 of 24 voxels are NaN or infinite: labels")
    assert check_finite_voxels(data, value=-1000.0, stored=12.0) == (
        0,
        ("2 of 24 voxels are NaN or infinite: replaced by -1000",),
    )
    assert data[0, 0, 0, 0] == data[0, 3, 2, 1] == 12
    assert check_finite_voxels(np.zeros((1, 2, 2, 2), np.int16)) == (0, ())
