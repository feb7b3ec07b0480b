from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from gpu_infer.backends.resampling import identity_table, linear_table, nearest_table, resampled_size
from gpu_infer.backends.tables import AxisTable


def _zoomed(values: np.ndarray, n_out: int, order: int, align_corners: bool) -> np.ndarray:
    return np.asarray(
        ndimage.zoom(values, n_out / values.size, order=order, mode="nearest", grid_mode=not align_corners)
    )


@given(n_in=st.integers(1, 700), n_out=st.integers(1, 700), align_corners=st.booleans())
def test_tables_equal_scipy_zoom(n_in: int, n_out: int, align_corners: bool) -> None:
    values = np.random.default_rng(n_in).uniform(-1.0, 1.0, n_in)
    table = linear_table(n_in, n_out, align_corners)
    weight = table.weight.astype(np.float64)
    linear = (1.0 - weight) * values[table.lower] + weight * values[table.upper]
    # weights are float32: half an ulp of 1 times the difference of two neighbours
    np.testing.assert_allclose(linear, _zoomed(values, n_out, 1, align_corners), rtol=0, atol=2.5e-7)
    nearest = nearest_table(n_in, n_out, align_corners)
    np.testing.assert_array_equal(values[nearest.lower], _zoomed(values, n_out, 0, align_corners))


@pytest.mark.parametrize("align_corners", [True, False])
def test_nearest_agrees_at_every_exact_half(align_corners: bool) -> None:
    for n_in in range(1, 34):
        index = np.arange(n_in, dtype=np.int32)
        for n_out in range(1, 68):
            table = nearest_table(n_in, n_out, align_corners)
            np.testing.assert_array_equal(table.lower, _zoomed(index, n_out, 0, align_corners), f"{n_in} → {n_out}")


@given(n_in=st.integers(1, 2000), n_out=st.integers(1, 2000), align_corners=st.booleans())
def test_tables_stay_inside_and_ascend(n_in: int, n_out: int, align_corners: bool) -> None:
    for table in (linear_table(n_in, n_out, align_corners), nearest_table(n_in, n_out, align_corners)):
        assert len(table) == n_out
        assert (table.lower.dtype, table.upper.dtype, table.weight.dtype) == (np.int32, np.int32, np.float32)
        assert table.lower.min() >= 0
        assert table.upper.max() < n_in
        assert (np.diff(table.lower) >= 0).all()
        assert (table.weight >= 0).all()
        assert (table.weight < 1).all()
        assert ((table.upper == table.lower) | ((table.upper == table.lower + 1) & (table.weight > 0))).all()


def test_hand_worked_tables() -> None:
    halves = linear_table(3, 5)
    assert halves.lower.tolist() == [0, 0, 1, 1, 2]
    assert halves.upper.tolist() == [0, 1, 1, 2, 2]
    assert halves.weight.tolist() == [0.0, 0.5, 0.0, 0.5, 0.0]
    centres = linear_table(2, 4, align_corners=False)
    assert centres.lower.tolist() == [0, 0, 0, 1]
    assert centres.weight.tolist() == [0.0, 0.25, 0.75, 0.0]
    # 0, 0.5, 1, 1.5, 2: halves go up
    assert nearest_table(3, 5).lower.tolist() == [0, 1, 1, 2, 2]
    assert linear_table(5, 1).lower.tolist() == [0]
    assert linear_table(1, 3).weight.tolist() == [0.0, 0.0, 0.0]


def test_identity_is_a_gather_of_itself() -> None:
    assert identity_table(5).lower.tolist() == [0, 1, 2, 3, 4]
    assert identity_table(5).is_gather
    assert linear_table(5, 5).is_gather
    assert not linear_table(5, 9).is_gather


def test_whole_weights_become_copies() -> None:
    table = AxisTable(np.array([0, 0, 0]), np.array([1, 1, 1]), np.array([0.0, 1.0, 0.25]))
    assert table.lower.tolist() == [0, 1, 0]
    assert table.upper.tolist() == [0, 1, 1]
    assert table.weight.tolist() == [0.0, 0.0, 0.25]
    assert table.lower.dtype == np.int32


def test_resampled_size_rounds_halves_to_even() -> None:
    assert resampled_size(200, 2.5, 1.0) == 500
    assert resampled_size(512, 0.7, 0.8) == 448
    assert resampled_size(5, 0.5, 1.0) == 2
    assert resampled_size(7, 0.5, 1.0) == 4
    assert resampled_size(3, 0.1, 5.0) == 1


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="0 samples cannot be resampled to 5"):
        linear_table(0, 5)
    with pytest.raises(ValueError, match="5 samples cannot be resampled to 0"):
        nearest_table(5, 0)
    with pytest.raises(ValueError, match="not positive"):
        resampled_size(5, 1.0, 0.0)
    with pytest.raises(ValueError, match="not positive"):
        resampled_size(5, 1.0, float("nan"))
