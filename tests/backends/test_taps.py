"""Tables of several neighbours, against SciPy's spline and sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gpu_infer.backends.resampling import Step, linear_table, nearest_table
from gpu_infer.backends.tap_tables import CUBIC_TAPS, cubic_table, gaussian_radius, smooth_linear_table, tap_table
from gpu_infer.backends.taps import TapTable, bands, pass_order


def matrix(table: TapTable, n_in: int) -> np.ndarray:
    """[n_out, n_in] weights."""
    dense = np.zeros((len(table), n_in))
    for row, first, count, weights in zip(dense, table.first, table.count, table.weights, strict=True):
        row[first : first + count] = weights[:count]
    return dense


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 4), (2, 5), (7, 30), (23, 24), (24, 9), (25, 60), (100, 33)])
def test_every_column_is_scipys_spline_of_one_sample(n_in: int, n_out: int, align_corners: bool) -> None:
    expected = [
        ndimage.zoom(np.eye(n_in)[i], n_out / n_in, order=3, mode="nearest", grid_mode=not align_corners)
        for i in range(n_in)
    ]
    dense = matrix(cubic_table(n_in, n_out, align_corners), n_in)
    np.testing.assert_allclose(dense, np.array(expected).T, rtol=0, atol=1e-6)
    np.testing.assert_allclose(dense.sum(axis=1), 1.0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("sigma", [0.3, 1.75, 9.0])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 4), (5, 5), (7, 2), (100, 33), (300, 7), (30, 41)])
def test_every_column_is_scipys_gaussian_and_spline_of_one_sample(
    n_in: int, n_out: int, sigma: float, order: int
) -> None:
    smooth = ndimage.gaussian_filter1d(np.eye(n_in), sigma, axis=0, mode="nearest")
    expected = [ndimage.zoom(column, n_out / n_in, order=order, mode="nearest", grid_mode=True) for column in smooth.T]
    table = (
        cubic_table(n_in, n_out, False, None, sigma)
        if order == 3
        else smooth_linear_table(n_in, n_out, False, None, sigma)
    )
    np.testing.assert_allclose(matrix(table, n_in), np.array(expected).T, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sigma", [1e-300, 1e-9, 0.12])
def test_a_gaussian_that_reads_one_sample_changes_no_weight(sigma: float) -> None:
    assert gaussian_radius(sigma) == 0
    smooth, plain = cubic_table(20, 9, sigma=sigma), cubic_table(20, 9)
    np.testing.assert_array_equal(matrix(smooth, 20), matrix(plain, 20))
    np.testing.assert_array_equal(
        matrix(smooth_linear_table(20, 9, True, None, sigma), 20), matrix(tap_table(linear_table(20, 9)), 20)
    )


def test_a_long_table_is_that_of_its_pieces() -> None:
    table = cubic_table(9000, 9000, step=Step(0.75))
    assert table.weights.shape == (9000, CUBIC_TAPS)
    np.testing.assert_array_equal(table.count[::4], 1)  # every fourth output is a sample
    np.testing.assert_array_equal(table.first[::4], np.arange(0, 6750, 3))


def test_two_neighbours_are_those_of_the_linear_and_the_nearest_table() -> None:
    table = tap_table(linear_table(3, 5))
    assert (table.first.tolist(), table.count.tolist()) == ([0, 0, 1, 1, 2], [1, 2, 1, 2, 1])
    np.testing.assert_array_equal(table.weights[:, 0], [1, 0.5, 1, 0.5, 1])
    assert tap_table(nearest_table(3, 5)).weights.shape == (5, 1)
    assert tap_table(nearest_table(5, 5)).is_identity(5)


def test_the_axis_that_shrinks_most_is_first_and_the_same_grid_is_none() -> None:
    tables = (cubic_table(10, 20), cubic_table(10, 10), cubic_table(10, 5))
    assert pass_order((10, 10, 10), tables) == [2, 0]


@pytest.mark.parametrize(
    ("n_in", "n_out", "rows"), [(100, 130, 48), (275, 344, 60), (30, 31, 30), (90, 40, 50), (5, 9, 5)]
)
def test_bands_cover_every_output_with_the_samples_that_it_reads(n_in: int, n_out: int, rows: int) -> None:
    table = cubic_table(n_in, n_out)
    end = 0
    for start, stop, low, high in bands(table, rows):
        assert (start, stop) == (end, max(stop, start + 1))
        assert high - low <= rows
        assert low == table.first[start:stop].min()
        assert high == (table.first + table.count)[start:stop].max()
        end = stop
    assert end == n_out
