"""What histograms and functions by points have to be on every backend, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from prepare_contract import LAYOUTS, laid_out

from gpu_infer.backends.base.backend import Backend


def image(shape: tuple[int, ...] = (2, 9, 14, 37)) -> np.ndarray:
    """Numbers of both signs, many equal ones, and some on edges of bins."""
    array = np.random.default_rng(5).normal(30, 300, shape).astype(np.float32)
    array[:, 2:5], array[:, 5] = -17.5, np.linspace(-1500, 1500, shape[-1])
    return array


class HistogramsContract:
    @pytest.mark.parametrize("count", [1, 2, 7, 256, 2048])
    def test_bins_are_numpys(self, backend: Backend, count: int) -> None:
        array = image()
        edges = np.histogram_bin_edges(array, count)
        uneven = np.unique(np.random.default_rng(1).normal(0, 400, count + 1).astype(np.float32))
        for layout in LAYOUTS[::9]:
            stored = backend.upload(laid_out(array, *layout))
            assert_array_equal(backend.count_bins(stored, edges), np.histogram(array, count)[0])
            part = stored[1:, ::-1, ::2, 3:]
            want = np.histogram(array[1:, ::-1, ::2, 3:], edges)[0]
            assert_array_equal(backend.count_bins(part, edges), want)
        if uneven.size == count + 1:
            assert_array_equal(backend.count_bins(stored, uneven), np.histogram(array, uneven)[0])

    def test_what_is_in_no_bin_is_not_counted(self, backend: Backend) -> None:
        row = [np.nan, -np.inf, np.inf, 0, 1, 2, 2, np.nextafter(np.float32(2), np.float32(3)), -1e-30]
        array = np.array(row, np.float32).reshape(1, 1, 3, 3)
        edges = np.array([0, 1, 2], np.float32)
        assert_array_equal(backend.count_bins(backend.upload(array), edges), [1, 3])
        assert_array_equal(backend.count_bins(backend.empty((1, 0, 3, 3), np.float32), edges), [0, 0])

    @pytest.mark.parametrize("count", [1, 2, 3, 256])
    def test_functions_are_numpys(self, backend: Backend, count: int) -> None:
        array, random = image(), np.random.default_rng(2)
        for points in (np.linspace(-900, 800, count), np.unique(random.normal(0, 300, count))):
            values = random.normal(0, 100, points.size)
            want = np.interp(array, points, values).astype(np.float32)
            for layout, other in zip(LAYOUTS[::9], LAYOUTS[4::9], strict=False):
                out = backend.upload(laid_out(np.zeros_like(array), *other))
                backend.map_values(backend.upload(laid_out(array, *layout)), out, points, values)
                assert_array_equal(backend.download(out), want)

    def test_histograms_refuse(self, backend: Backend) -> None:
        array, edges, line = backend.zeros((1, 2, 2, 2), np.float32), np.array([0, 1], np.float32), np.zeros(1)
        narrow: Any = backend.zeros((1, 2, 2, 2), np.int16)
        for source, table, message in (
            (narrow, edges, r"bins are those of float32 \[C, X, Y, Z\], found int16"),
            (array, np.arange(2050, dtype=np.float32), r"bins have 2 to 2049 float32 edges, found float32 \(2050,\)"),
            (array, np.array([0, 0], np.float32), "edges of bins are finite and rise strictly"),
        ):
            with pytest.raises(ValueError, match=message):
                backend.count_bins(source, table)
        for out, points, message in (
            (narrow, line, "values are mapped from float32"),
            (array[:, 1:], line, "values are mapped from float32"),
            (array, np.zeros(2), "as many values as points"),
            (array, np.array([np.nan]), "points of a function are finite"),
        ):
            with pytest.raises(ValueError, match=message):
                backend.map_values(array, out, points, line)
