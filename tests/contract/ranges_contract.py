"""What the range of an array and its percentiles have to be on every backend, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from prepare_contract import LAYOUTS, SOURCE_DTYPES, laid_out, values

from gpu_infer.backends.base.backend import Backend

PERCENTS = (0, 0.5, 1, 25, 50, 62.3, 99, 99.5, 100)


def numbers(dtype: Any, shape: tuple[int, ...] = (2, 9, 20, 33)) -> np.ndarray:
    """Normal numbers of both signs, many of them equal."""
    array = np.random.default_rng(5).normal(30, 300, shape).astype(dtype)
    array[:, 2:5] = -17.5
    array[:, 5] = 0
    return array


class RangesContract:
    @pytest.mark.parametrize("dtype", [*SOURCE_DTYPES, "i8", "u8"])
    def test_extrema_are_numpys(self, backend: Backend, dtype: str) -> None:
        for axes, steps in LAYOUTS[::7]:
            array = laid_out(values((2, 33, 40, 9), dtype), axes, steps)[:, 1:, ::2]
            assert backend.extrema(backend.upload(array)) == (float(array.min()), float(array.max()), False)

    @pytest.mark.parametrize("dtype", ["f4", "f2"])
    def test_extrema_at_the_ends(self, backend: Backend, dtype: str) -> None:
        for layout in LAYOUTS[::9]:
            array = values((3, 9, 10, 11)).astype(dtype)
            array[2, 8, 9, 10], array[0, 0, 0, 0] = -5000, 6000
            stored = backend.upload(laid_out(array, *layout))
            assert backend.extrema(stored) == (-5000, 6000, False)
            low, high, _ = backend.extrema(stored[:2, ::-2, 1:])
            assert (low, high) == (array[:2, ::-2, 1:].min(), array[:2, ::-2, 1:].max())

    @pytest.mark.parametrize("dtype", ["f4", "f2", "f8"])
    def test_nan_is_no_number(self, backend: Backend, dtype: str) -> None:
        array = np.full((1, 3, 4, 5), np.nan, dtype)
        low, high, has_nan = backend.extrema(backend.upload(array))
        assert low > high
        assert has_nan
        array[0, 1, 2, 3], array[0, 2, 2, 2] = -3.5, -0.25
        assert backend.extrema(backend.upload(array)) == (-3.5, -0.25, True)
        array[0, 0, 0, 0] = np.inf
        assert backend.extrema(backend.upload(array)) == (-3.5, np.inf, True)
        assert backend.extrema(backend.upload(np.nan_to_num(array, nan=-1)))[2] is False
        low, high, has_nan = backend.extrema(backend.empty((1, 0, 4, 5), dtype))
        assert (low > high, has_nan) == (True, False)

    @pytest.mark.parametrize("dtype", [np.float32, np.float16])
    def test_percentiles_are_numpys(self, backend: Backend, dtype: Any) -> None:
        for layout in LAYOUTS[::9]:
            array = numbers(dtype)
            stored = backend.upload(laid_out(array, *layout))
            assert_array_equal(backend.percentiles(stored, PERCENTS), np.percentile(array.astype(np.float64), PERCENTS))
            part = stored[1:, ::-1, ::2, 3:]
            want = np.percentile(array[1:, ::-1, ::2, 3:].astype(np.float64), PERCENTS)
            assert_array_equal(backend.percentiles(part, PERCENTS), want)

    @pytest.mark.parametrize("dtype", [np.float32, np.float16])
    def test_percentiles_of_few_numbers(self, backend: Backend, dtype: Any) -> None:
        tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
        for row in ([3], [3, -4], [0, -0.0], [tiny, -tiny, 0], [huge, -huge, 1, 2], [1, 1, 1, 2]):
            array = np.array(row, dtype).reshape(1, 1, 1, -1)
            got = backend.percentiles(backend.upload(array), PERCENTS)
            assert_array_equal(got, np.percentile(array.astype(np.float64), PERCENTS))

    @pytest.mark.parametrize("dtype", [np.float32, np.float16])
    @pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf, -np.inf])
    def test_no_percentiles_of_what_is_not_finite(self, backend: Backend, dtype: Any, wrong: float) -> None:
        array = numbers(dtype)
        array[1, 8, 3, 3] = wrong
        assert np.isnan(backend.percentiles(backend.upload(array), (10, 20))).all()

    def test_ranges_refuse(self, backend: Backend) -> None:
        array = backend.zeros((1, 2, 2, 2), np.float32)
        with pytest.raises(ValueError, match=r"extrema are those of real \[C, X, Y, Z\] of up to 8 bytes, found"):
            backend.extrema(array[0])
        with pytest.raises(ValueError, match=r"percentiles are those of float32 and float16 .*, found int16"):
            backend.percentiles(backend.zeros((1, 2, 2, 2), np.int16), (1,))
        with pytest.raises(ValueError, match=r"percents must be in 0 … 100, found \[101\]"):
            backend.percentiles(array, (101,))
