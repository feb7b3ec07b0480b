"""Digits of a function of a voxel on every backend, against float64: values far from 0 and near each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prepare_contract import laid_out, prepared

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.resampling import identity_table, nearest_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.taps import TapTable

OFFSETS = [0.0, 1e3, 1000.0001, -4e4, 1e6]
SPREADS = [1e-3, 1.0, 1e2, 1e3]
SHAPE = (1, 37, 6, 71)

ULPS = 2.5
"""Of float32: x + lead, the scale, the product and the last sum are each rounded by half an ulp, which is up to a whole
one of the result if that is the smaller number."""


def spread(offset: float, width: float, dtype: Any = np.float32) -> NDArray[Any]:
    numbers = offset + width * np.random.default_rng(7).standard_normal(SHAPE)
    return (numbers if np.dtype(dtype).kind == "f" else np.rint(numbers)).astype(dtype)


def zscore(array: NDArray[Any]) -> tuple[ClampedAffine, NDArray[np.float64]]:
    wide = array.astype(np.float64)
    mean, std = float(wide.mean()), float(wide.std()) or 1.0
    return ClampedAffine(1.0 / std, centre=mean), (wide - mean) / std


def assert_digits(got: NDArray[Any], want: NDArray[np.float64], ulps: float = ULPS) -> None:
    assert got.dtype == np.float32
    off = np.abs(got - want) / np.spacing(np.abs(want).astype(np.float32)).astype(np.float64)
    assert off.max() <= ulps


class AffineContract:
    @pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
    @pytest.mark.parametrize("offset", OFFSETS)
    @pytest.mark.parametrize("width", SPREADS)
    def test_a_zscore_has_the_digits_of_float64(
        self, backend: Backend, offset: float, width: float, axes: tuple[int, ...]
    ) -> None:
        array = spread(offset, width)
        function, want = zscore(array)
        source = laid_out(array, axes, (1, 1, 1))
        for before, after in ((function, ClampedAffine()), (ClampedAffine(), function)):
            assert_digits(prepared(backend, source, SHAPE[1:], None, before, after), want)

    @pytest.mark.parametrize("dtype", ["u2", "i4", "f8", ">i2", "f2"])
    def test_a_zscore_of_every_kind_of_number(self, backend: Backend, dtype: str) -> None:
        array = spread(2e4, 50.0, dtype)
        function, want = zscore(array.astype(np.float32))
        assert_digits(prepared(backend, array, SHAPE[1:], None, function), want)

    @pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
    def test_of_copies_through_tables_and_taps(self, backend: Backend, axes: tuple[int, ...]) -> None:
        array = spread(4e4, 100.0)
        function, want = zscore(array)
        source = laid_out(array, axes, (1, 1, 1))
        a, b, c = (nearest_table(n, n + 3) for n in SHAPE[1:])
        picked = want[np.ix_([0], a.lower, b.lower, c.lower)]
        got = prepared(backend, source, picked.shape[1:], (a, b, c), function)
        assert_digits(got, picked)
        taps = tuple(TapTable(t.lower, np.ones(len(t), np.int32), np.ones((len(t), 1), np.float32)) for t in (a, b, c))
        out = backend.empty(picked.shape, np.float32)
        backend.resample_taps(backend.upload(source), out, taps, function, ClampedAffine())
        assert_digits(backend.download(out), picked)

    @pytest.mark.parametrize("offset", OFFSETS)
    @pytest.mark.parametrize("width", SPREADS)
    def test_inside_masks(self, backend: Backend, offset: float, width: float) -> None:
        array = spread(offset, width)
        function, want = zscore(array)
        inside = np.random.default_rng(2).random(SHAPE) < 0.5
        for source, mask in ((np.where(inside, array, np.float32(0)), None), (array, inside.astype(np.uint8))):
            out = backend.empty(SHAPE, np.float32)
            held = None if mask is None else backend.upload(mask)
            backend.masked_affine(backend.upload(source), out, function, held)
            assert_digits(backend.download(out), np.where(inside, want, 0.0))

    @pytest.mark.parametrize("offset", [0.0, 1e3, 4e4])
    def test_two_functions_in_one_and_limits(self, backend: Backend, offset: float) -> None:
        """A slope and an intercept, limits, a range, and the voxels around the limits; in one function."""
        stored = np.arange(-3000, 3001, dtype=np.int16).reshape(1, 1, 1, -1)
        wide = 0.0625 * stored.astype(np.float64) + offset
        low, high = offset - 10.0, offset + 100.0
        function = ClampedAffine(0.0625, offset).then(ClampedAffine(low=low, high=high))
        function = function.then(ClampedAffine(2.0 / (high - low), -1.0, centre=low))
        got = prepared(backend, stored, stored.shape[1:], None, function)
        want = 2.0 * (np.clip(wide, low, high) - low) / (high - low) - 1.0
        assert (got.min(), got.max()) == (-1.0, 1.0)
        assert_digits(got, want)

    def test_a_constant_and_what_has_no_root_in_float32(self, backend: Backend) -> None:
        array = spread(3.0, 1.0)
        tables = tuple(identity_table(n) for n in SHAPE[1:])
        for function, want in (
            (ClampedAffine(0.0, 7.25, centre=1e30), np.full(SHAPE, 7.25)),
            (ClampedAffine(1e-38, 4.0), np.full(SHAPE, 4.0)),
            (ClampedAffine(1e-42, 3e-3), np.full(SHAPE, np.float32(3e-3), np.float64)),
            (ClampedAffine(1e30, 1e-30), array.astype(np.float64) * 1e30),
        ):
            assert_digits(prepared(backend, array, SHAPE[1:], tables, function), want)
