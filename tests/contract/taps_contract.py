"""What `resample_taps` has to do on every backend, against `scipy.ndimage.zoom` and `gaussian_filter`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from prepare_contract import IDENTITY, LAYOUTS, SOURCE_DTYPES, few, laid_out, values, zoomed
from scipy import ndimage

from gpu_infer.backends import taps
from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.resampling import linear_table, nearest_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.tap_tables import cubic_table, smooth_linear_table, tap_table
from gpu_infer.backends.taps import TapTable, TapTables, scratch_bytes

TOLERANCE = 1e-5
"""Of the range of the input."""


def cubic_tables(shape: Any, target: Any, align_corners: bool = True) -> TapTables:
    x, y, z = (cubic_table(a, b, align_corners) for a, b in zip(shape, target, strict=True))
    return x, y, z


def tapped(
    backend: Backend,
    source: NDArray[Any],
    tables: TapTables,
    before: ClampedAffine = IDENTITY,
    after: ClampedAffine = IDENTITY,
    dtype: Any = np.float32,
) -> NDArray[Any]:
    out = backend.empty((source.shape[0], *map(len, tables)), dtype)
    backend.resample_taps(backend.upload(source), out, tables, before, after)
    return backend.download(out)


def assert_close(result: NDArray[Any], expected: NDArray[Any], source: NDArray[Any]) -> None:
    wide = source.astype(np.float64)
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE * max(1.0, float(np.ptp(wide))))


class TapsContract:
    @pytest.mark.parametrize("align_corners", [True, False])
    @pytest.mark.parametrize("dtype", SOURCE_DTYPES)
    def test_cubic_equals_scipy_zoom(self, backend: Backend, dtype: str, align_corners: bool) -> None:
        source = values((2, 9, 31, 7), dtype)
        result = tapped(backend, source, cubic_tables((9, 31, 7), (13, 25, 20), align_corners))
        assert_close(result, zoomed(source.astype(np.float64), (13, 25, 20), 3, align_corners), source)

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 40)] * 3),
        target=st.tuples(*[st.integers(1, 40)] * 3),
        layout=st.sampled_from(LAYOUTS),
        align_corners=st.booleans(),
    )
    def test_cubic_of_any_shape_and_layout(
        self, backend: Backend, shape: Any, target: Any, layout: Any, align_corners: bool
    ) -> None:
        plain = values((1, *shape), np.int16)
        result = tapped(backend, laid_out(plain, *layout), cubic_tables(shape, target, align_corners))
        assert_close(result, zoomed(plain, target, 3, align_corners), plain)

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 40)] * 3),
        target=st.tuples(*[st.integers(1, 30)] * 3),
        layout=st.sampled_from(LAYOUTS),
        order=st.sampled_from([1, 3]),
    )
    def test_a_gaussian_before_the_interpolation(
        self, backend: Backend, shape: Any, target: Any, layout: Any, order: int
    ) -> None:
        plain = values((1, *shape), np.int16)
        sigma = [max(0.0, (a / b - 1) / 2) for a, b in zip(shape, target, strict=True)]
        table = cubic_table if order == 3 else smooth_linear_table
        x, y, z = (table(a, b, False, None, s) for a, b, s in zip(shape, target, sigma, strict=True))
        smooth = ndimage.gaussian_filter(plain.astype(np.float64), [0.0, *sigma], mode="nearest")
        result = tapped(backend, laid_out(plain, *layout), (x, y, z))
        assert_close(result, zoomed(smooth, target, order, False), plain)

    def test_axes_interpolate_each_in_their_own_order(self, backend: Backend) -> None:
        source = values((1, 14, 9, 6), np.int16)
        tables = (cubic_table(14, 20), tap_table(linear_table(9, 12)), tap_table(nearest_table(6, 11)))
        expected = zoomed(zoomed(zoomed(source, (20, 9, 6), 3), (20, 12, 6), 1), (20, 12, 11), 0)
        assert_close(tapped(backend, source, tables), expected, source)

    @pytest.mark.parametrize("dtype", ["f4", "f2"])
    def test_functions_before_and_after(self, backend: Backend, dtype: str) -> None:
        source = values((1, 8, 30, 9), np.int16)
        before, after = ClampedAffine(0.5, 1.0, low=-200.0), ClampedAffine(0.01, 0.0, -1.0, 1.0)
        result = tapped(backend, source, cubic_tables((8, 30, 9), (11, 20, 9)), before, after, dtype)
        expected = zoomed(np.maximum(source * 0.5 + 1.0, -200.0), (11, 20, 9), 3)
        np.testing.assert_allclose(
            result, np.clip(expected * 0.01, -1, 1), rtol=0, atol=1e-3 if dtype == "f2" else 2e-5
        )

    def test_a_part_of_the_tables_gives_that_part(self, backend: Backend) -> None:
        source = values((1, 40, 9, 11), np.int16)
        tables = cubic_tables((40, 9, 11), (33, 14, 15))
        whole = tapped(backend, source, tables)
        x, y, z = tables
        result = tapped(backend, source, (x.part(7, 12), y.part(0, 14), z.part(3, 5)))
        np.testing.assert_allclose(result, whole[:, 7:19, :, 3:8], rtol=0, atol=2e-2)

    @pytest.mark.parametrize("target", [(15, 40, 33), (20, 40, 33)])
    def test_slabs_change_no_bit(self, backend: Backend, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        source = values((2, 20, 30, 25), np.int16)
        tables = cubic_tables((20, 30, 25), target)
        whole = tapped(backend, source, tables)
        monkeypatch.setattr(taps, "SLAB_BYTES", 9000)
        np.testing.assert_array_equal(tapped(backend, source, tables), whole)

    @pytest.mark.parametrize("rows", [330, 450])
    @pytest.mark.parametrize("slab_bytes", [1, 36_000])
    def test_bands_change_no_bit(
        self, backend: Backend, rows: int, slab_bytes: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = values((1, 12, 310, 9), np.int16)
        tables = cubic_tables((12, 310, 9), (8, rows, 7))
        whole = tapped(backend, source, tables)
        monkeypatch.setattr(taps, "SLAB_BYTES", slab_bytes)
        assert taps.band_rows((8, 310, 7), 1, tables[1]) < 200
        np.testing.assert_array_equal(tapped(backend, source, tables), whole)

    def test_the_same_grid_is_a_copy(self, backend: Backend) -> None:
        source = values((2, 5, 6, 7))
        np.testing.assert_array_equal(tapped(backend, source, cubic_tables((5, 6, 7), (5, 6, 7))), source)

    def test_an_infinite_neighbour_has_no_part_in_a_copy(self, backend: Backend) -> None:
        source = values((1, 1, 1, 9))
        source[0, 0, 0, 4] = np.inf
        one = cubic_table(1, 1)
        z = cubic_table(9, 17)  # every second output is a sample
        result = tapped(backend, source, (one, one, z))
        np.testing.assert_array_equal(result[..., ::2], source)

    @pytest.mark.parametrize("field", ["first", "count"])
    def test_a_table_that_reads_outside_is_refused(self, backend: Backend, field: str) -> None:
        one, z = cubic_table(1, 1), cubic_table(9, 17)
        entries = {"first": z.first, "count": z.count}
        entries[field] = entries[field] + 9
        with pytest.raises(ValueError, match="axis 2: the table reads"):
            tapped(backend, values((1, 1, 1, 9)), (one, one, TapTable(entries["first"], entries["count"], z.weights)))

    def test_refuses_integers_to_write(self, backend: Backend) -> None:
        with pytest.raises(ValueError, match="resample_taps writes float32 and float16, found int16"):
            tapped(backend, values((1, 4, 4, 4)), cubic_tables((4, 4, 4), (5, 5, 5)), dtype=np.int16)

    def test_scratch_is_what_lies_between_two_axes(self, backend: Backend) -> None:
        # z first (it shrinks), then x, then y: 10·10·5 voxels in one slab, and 20·10·5 of 4 bytes
        assert scratch_bytes((10, 10, 10), cubic_tables((10, 10, 10), (20, 30, 5))) == 4 * (500 + 1000)
        assert scratch_bytes((10, 10, 10), cubic_tables((10, 10, 10), (10, 10, 5))) == 0
