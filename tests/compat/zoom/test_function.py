"""`gpu_infer.zoom` against `scipy.ndimage.zoom`."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from gpu_infer import zoom
from gpu_infer.compat.zoom.axis import MODES

# float32 in one pass on values up to 150: worst error seen in 4000 random cases is 1.6e-5
ATOL = 5e-5

FACTORS = [0.3, 0.5, 1, 4 / 3, 1.5, 2, 2.7, 3]
DTYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8", "c8", "c16", ">i2", ">f4", ">f8"]


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    kind = np.dtype(dtype).kind
    actual = np.random.default_rng(seed).normal(size=shape) * 50
    if kind == "c":
        return (actual + 1j * actual[::-1]).astype(dtype)
    return (np.abs(actual) if kind == "u" else actual).astype(dtype)


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_any_array_zooms_as_scipys(data: st.DataObject) -> None:
    dims = data.draw(st.integers(1, 4))
    array = values(data.draw(st.tuples(*[st.integers(1, 8)] * dims)), data.draw(st.sampled_from(DTYPES)))
    factor: Any = data.draw(st.one_of(st.sampled_from(FACTORS), st.tuples(*[st.sampled_from(FACTORS)] * dims)))
    complex_input = array.dtype.kind == "c"
    options = {
        "order": data.draw(st.integers(0, 1)),
        "mode": data.draw(st.sampled_from(MODES)),
        "cval": data.draw(st.sampled_from([0.0, 7.0, -3.6])),
        # SciPy drops grid_mode for complex inputs
        "grid_mode": False if complex_input else data.draw(st.booleans()),
        "output": None if complex_input else data.draw(st.sampled_from([None, "f4", np.float64, np.dtype("i4")])),
    }
    if array.dtype.kind == "u":
        options["cval"] = abs(options["cval"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, actual = ndimage.zoom(array, factor, **options), zoom(array, factor, **options)
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    if expected.dtype.kind in "iu":
        np.testing.assert_array_equal(actual, expected)
    else:
        atol = 1e-11 if actual.dtype.itemsize == 8 and not complex_input else ATOL
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("shape", [(40, 50, 60), (2, 30, 40, 20), (1500, 700)])
@pytest.mark.parametrize("dtype", ["f4", "i2", "u1", "f8"])
def test_larger_arrays(order: int, shape: tuple[int, ...], dtype: str) -> None:
    array = values(shape, dtype)
    factor = [1.0, 1.3, 0.7, 1.1][: len(shape)]
    expected, actual = (f(array, factor, order=order, mode="nearest") for f in (ndimage.zoom, zoom))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=ATOL if dtype == "f4" else 1e-11)


@pytest.mark.parametrize("order", [0, 1])
def test_views_of_any_strides(order: int) -> None:
    array = values((20, 9, 14, 3), "f4").transpose(2, 3, 0, 1)[::-1, :, ::2]
    out = np.full((9, 21, 30, 3), np.nan, np.float32).transpose(1, 3, 2, 0)[:, :, ::-2]
    target = tuple(n / m for n, m in zip(out.shape, array.shape, strict=True))
    assert zoom(array, target, out, order, "nearest") is out
    np.testing.assert_allclose(out, ndimage.zoom(array, target, order=order, mode="nearest"), rtol=0, atol=ATOL)


def test_into_an_array_of_another_byte_order_and_into_itself() -> None:
    array = values((6, 6), "f4")
    out = np.empty((9, 9), ">f4")
    zoom(array, 1.5, out, 1)
    np.testing.assert_allclose(out, ndimage.zoom(array, 1.5, order=1), rtol=0, atol=ATOL)
    square = values((4, 4), "f4")
    expected = ndimage.zoom(square[::2], (2, 1), order=0)
    zoom(square[::2], (2, 1), square, 0)
    np.testing.assert_array_equal(square, expected)


def test_float16_and_booleans() -> None:
    half = values((7, 8), "f2")
    np.testing.assert_allclose(
        zoom(half, 2, order=1), ndimage.zoom(half.astype("f4"), 2, order=1), rtol=2e-3, atol=1e-3
    )
    truth = values((7, 8), "f4") > 0
    np.testing.assert_array_equal(zoom(truth, 2, order=0), ndimage.zoom(truth, 2, order=0))


def test_a_sample_without_weight_has_no_part() -> None:
    array = np.array([1.0, np.inf, 3.0, np.nan, 5.0])
    for dtype in ("f4", "f8"):
        actual = zoom(array.astype(dtype), 9 / 5, order=1)
        np.testing.assert_array_equal(actual, [1, np.inf, np.inf, np.inf, 3, np.nan, np.nan, np.nan, 5])


def test_large_integers_are_copied_exactly() -> None:
    array = np.array([2**60 + 1, -(2**60) - 1])
    np.testing.assert_array_equal(zoom(array, 2, order=0), np.repeat(array, 2))


def test_grid_mode_counts_for_complex_inputs() -> None:
    array = values((5, 4), "c16")
    expected = ndimage.zoom(array.real, 2, order=1, mode="nearest", grid_mode=True) + 1j * ndimage.zoom(
        array.imag, 2, order=1, mode="nearest", grid_mode=True
    )
    np.testing.assert_allclose(zoom(array, 2, order=1, mode="nearest", grid_mode=True), expected)


def test_a_factor_of_one_copies() -> None:
    array = np.array([1.7, -1.7])
    np.testing.assert_array_equal(zoom(array, 1, output=int, order=1), ndimage.zoom(array, 1, output=int, order=1))
    assert zoom(array, 1, order=1) is not array


def test_nothing_from_nothing() -> None:
    assert zoom(np.zeros((3, 0)), 2, order=1).shape == (6, 0)
    assert zoom(np.zeros((3, 4)), 0.1, order=1).shape == (0, 0)


def test_the_signature_is_scipys() -> None:
    assert str(inspect.signature(zoom)).split(" -> ")[0].count("grid_mode") == 1
    ours = {name: (p.kind, p.default) for name, p in inspect.signature(zoom).parameters.items()}
    theirs = {name: (p.kind, p.default) for name, p in inspect.signature(ndimage.zoom).parameters.items()}
    assert ours == theirs


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, r"order 3 is not supported: pass order=0 or order=1"),
        ({"order": 2}, ValueError, "order 2 is not supported"),
        ({"order": 6}, RuntimeError, "spline order not supported: found 6"),
        ({"order": 1, "mode": "edge"}, RuntimeError, "boundary mode not supported: found 'edge', expected one of"),
        ({"order": 1, "zoom": (2, 2, 2)}, RuntimeError, "must have length equal to input rank, 2, found 3"),
        ({"order": 1, "output": np.zeros((3, 3))}, RuntimeError, r"not correct: found \(3, 3\), expected \(8, 8\)"),
        ({"order": 1, "input": np.float32(3)}, RuntimeError, "rank must be > 0"),
        (
            {"order": 1, "input": np.zeros((4, 4), complex), "output": np.zeros((8, 8))},
            RuntimeError,
            "output must have a complex dtype",
        ),
    ],
)  # fmt: skip
def test_refusals(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        zoom(**({"input": np.zeros((4, 4)), "zoom": 2} | arguments))


@pytest.mark.parametrize("mode", ["constant", "wrap"])
def test_warnings_are_scipys(mode: str) -> None:
    for function in (ndimage.zoom, zoom):
        with pytest.warns(UserWarning, match=f"use mode = grid-{mode} instead of {mode} when grid_mode is True"):
            function(np.zeros((4, 4)), 2, order=1, mode=mode, grid_mode=True)
    with pytest.warns(UserWarning, match="promoting specified output dtype to complex"):
        assert zoom(np.zeros(4, complex), 2, output=np.float32, order=1).dtype == np.complex64
