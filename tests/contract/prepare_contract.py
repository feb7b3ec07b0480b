"""What `prepare` has to do on every backend, against `scipy.ndimage.zoom`."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from gpu_infer.backends.base.backend import Backend, Tables
from gpu_infer.backends.resampling import identity_table, linear_table, nearest_table
from gpu_infer.backends.tables import AxisTable, ClampedAffine

IDENTITY = ClampedAffine()

# float32 arithmetic on values up to 1000: worst error seen is 2.2e-4, on the CPU, 3000 random shapes
ATOL = 5e-4

SOURCE_DTYPES = ["i1", "i2", "i4", "u1", "u2", "u4", "f2", "f4", "f8", ">i2", ">u2", ">i4", ">f4", ">f8"]
LAYOUTS = list(product(permutations(range(3)), product((1, -1), repeat=3)))

few = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


def values(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> NDArray[Any]:
    """Random numbers that every dtype here holds, up to ±1000 where it can."""
    kind = np.dtype(dtype)
    low, high = (0, 200) if kind.kind == "u" else (-100, 100)
    if kind.itemsize > 1 and kind.kind != "u":
        low, high = -1000, 1000
    return np.random.default_rng(seed).integers(low, high, shape).astype(kind)


def laid_out(array: NDArray[Any], axes: tuple[int, ...], steps: tuple[int, ...]) -> NDArray[Any]:
    """The same values [C, X, Y, Z] in another memory order: `axes` from slowest to fastest, backwards where −1."""
    stored = np.empty([array.shape[0], *(array.shape[1 + a] for a in axes)], array.dtype)
    view = stored.transpose(0, *(1 + axes.index(a) for a in range(3)))[
        (slice(None), *(slice(None, None, s) for s in steps))
    ]
    view[...] = array
    return view


def linear_tables(shape: tuple[int, ...], target: tuple[int, ...], align_corners: bool = True) -> Tables:
    x, y, z = (linear_table(a, b, align_corners) for a, b in zip(shape, target, strict=True))
    return x, y, z


def nearest_tables(shape: tuple[int, ...], target: tuple[int, ...], align_corners: bool = True) -> Tables:
    x, y, z = (nearest_table(a, b, align_corners) for a, b in zip(shape, target, strict=True))
    return x, y, z


def zoomed(array: NDArray[Any], target: tuple[int, ...], order: int, align_corners: bool = True) -> NDArray[Any]:
    """SciPy's answer per channel; float64 for linear."""
    factor = [b / a for a, b in zip(array.shape[1:], target, strict=True)]
    work = np.float64 if order else array.dtype
    return np.stack(
        [
            ndimage.zoom(channel.astype(work), factor, order=order, mode="nearest", grid_mode=not align_corners)
            for channel in array
        ]
    )


def prepared(
    backend: Backend,
    source: NDArray[Any],
    target: tuple[int, ...],
    tables: Tables | None,
    before: ClampedAffine = IDENTITY,
    after: ClampedAffine = IDENTITY,
    dtype: Any = np.float32,
) -> NDArray[Any]:
    out = backend.empty((source.shape[0], *target), dtype)
    backend.resample(backend.upload(source), out, tables, before, after)
    return backend.download(out)


class PrepareContract:
    @pytest.mark.parametrize("align_corners", [True, False])
    @pytest.mark.parametrize("dtype", SOURCE_DTYPES)
    def test_linear_equals_scipy_zoom(self, backend: Backend, dtype: str, align_corners: bool) -> None:
        source = values((2, 9, 11, 7), dtype)
        tables = linear_tables((9, 11, 7), (13, 5, 20), align_corners)
        got = prepared(backend, source, (13, 5, 20), tables)
        expected = zoomed(source.astype(np.float64), (13, 5, 20), 1, align_corners)
        np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 24)] * 3),
        target=st.tuples(*[st.integers(1, 40)] * 3),
        layout=st.sampled_from(LAYOUTS),
        align_corners=st.booleans(),
    )
    def test_any_shape_and_layout(
        self, backend: Backend, shape: Any, target: Any, layout: Any, align_corners: bool
    ) -> None:
        plain = values((1, *shape), np.int16)
        got = prepared(backend, laid_out(plain, *layout), target, linear_tables(shape, target, align_corners))
        np.testing.assert_allclose(got, zoomed(plain, target, 1, align_corners), rtol=0, atol=ATOL)

    @pytest.mark.parametrize("axes", list(permutations(range(3))))
    def test_flips_of_every_axis_order(self, backend: Backend, axes: tuple[int, ...]) -> None:
        plain = values((2, 6, 5, 9), np.int16)
        for steps in product((1, -1), repeat=3):
            source = laid_out(plain, axes, steps)
            np.testing.assert_array_equal(prepared(backend, source, (6, 5, 9), None), plain)
            got = prepared(backend, source, (8, 4, 9), linear_tables((6, 5, 9), (8, 4, 9)))
            np.testing.assert_allclose(got, zoomed(plain, (8, 4, 9), 1), rtol=0, atol=ATOL)

    @pytest.mark.parametrize("axes", list(permutations(range(3))))
    def test_output_of_every_axis_order(self, backend: Backend, axes: tuple[int, ...]) -> None:
        source = values((2, 6, 5, 9), np.int16)
        target = (8, 4, 11)
        stored = backend.zeros((2, *(target[a] for a in axes)), np.float32)
        out = stored.transpose(0, *(1 + axes.index(a) for a in range(3)))[:, ::-1, :, ::-1]
        backend.resample(backend.upload(source), out, linear_tables((6, 5, 9), target), IDENTITY, IDENTITY)
        got = backend.download(stored).transpose(0, *(1 + axes.index(a) for a in range(3)))[:, ::-1, :, ::-1]
        np.testing.assert_allclose(got, zoomed(source, target, 1), rtol=0, atol=ATOL)

    def test_source_with_gaps(self, backend: Backend) -> None:
        whole = values((3, 12, 10, 14), np.float32)
        source = whole[1:, 1::2, ::-3, 2:13:2]
        got = prepared(backend, source, source.shape[1:], None)
        np.testing.assert_array_equal(got, source)

    def test_many_tiles_and_chunks(self, backend: Backend) -> None:
        plain = values((1, 40, 300, 260), np.int16)
        target = (33, 410, 300)
        for axes in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
            source = laid_out(plain, axes, (1, -1, 1))
            got = prepared(backend, source, target, linear_tables(plain.shape[1:], target))
            np.testing.assert_allclose(got, zoomed(plain, target, 1), rtol=0, atol=ATOL)

    def test_functions_before_and_after(self, backend: Backend) -> None:
        source = values((1, 8, 9, 10), np.int16)
        before = ClampedAffine(0.5, -3.0, -200.0, 300.0)
        after = ClampedAffine(-1.0 / 250.0, 0.1, -0.7, 0.9)
        clipped = np.clip(source * 0.5 - 3.0, -200.0, 300.0)
        expected = np.clip(zoomed(clipped, (12, 7, 15), 1) / -250.0 + 0.1, -0.7, 0.9)
        got = prepared(backend, source, (12, 7, 15), linear_tables((8, 9, 10), (12, 7, 15)), before, after)
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)

    def test_without_resampling(self, backend: Backend) -> None:
        source = values((2, 8, 9, 10), np.int16)
        got = prepared(backend, source, (8, 9, 10), None, IDENTITY, ClampedAffine(0.25, 1.0, -50.0, 50.0))
        np.testing.assert_array_equal(got, np.clip(source * 0.25 + 1.0, -50.0, 50.0))

    def test_identity_tables_copy(self, backend: Backend) -> None:
        source = values((1, 8, 9, 10), np.float32)
        tables = (identity_table(8), identity_table(9), identity_table(10))
        np.testing.assert_array_equal(prepared(backend, source, (8, 9, 10), tables), source)

    @pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", ">f4", "f8"])
    @pytest.mark.parametrize("axes", list(permutations(range(3))))
    def test_copies_of_every_axis_order_and_direction(
        self, backend: Backend, axes: tuple[int, ...], dtype: str
    ) -> None:
        """More than a tile of voxels along two axes; the quotient of powers of two is exact."""
        plain = values((2, 66, 5, 70), dtype)
        scale = ClampedAffine(0.25, 1.0, -50.0, 45.0)
        for steps in ((1, 1, 1), (-1, 1, 1), (1, -1, -1)):
            source = laid_out(plain, axes, steps)
            for before, after in ((IDENTITY, scale), (scale, IDENTITY), (ClampedAffine(1.0, 8.0), scale)):
                got = prepared(backend, source, (66, 5, 70), None, before, after)
                shifted = plain.astype(np.float64) + (8.0 if before.shift == 8.0 else 0.0)
                np.testing.assert_array_equal(got, np.clip(shifted * 0.25 + 1.0, -50.0, 45.0))

    @pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
    def test_tables_that_crop_and_flip_copy(self, backend: Backend, axes: tuple[int, ...]) -> None:
        plain = values((2, 80, 7, 75), np.int16)
        source = laid_out(plain, axes, (1, 1, -1))

        def copies(index: Any) -> AxisTable:
            return AxisTable(np.array(index, np.int32), np.array(index, np.int32), np.zeros(len(index), np.float32))

        tables = (copies(range(5, 72)), copies(range(6, -1, -1)), copies(range(70, 3, -1)))
        got = prepared(backend, source, (67, 7, 67), tables)
        np.testing.assert_array_equal(got, plain[:, 5:72, ::-1, 70:3:-1])
        one = copies([4])
        np.testing.assert_array_equal(prepared(backend, source, (1, 1, 1), (one, one, one)), plain[:, 4:5, 4:5, 4:5])

    @pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
    def test_tables_that_repeat_and_skip_copy(self, backend: Backend, axes: tuple[int, ...]) -> None:
        plain = values((1, 40, 6, 44), np.float32)
        plain[:, ::3, :, 1::4], plain[:, 1::5] = np.inf, np.nan
        tables = nearest_tables((40, 6, 44), (70, 6, 35))
        picked = zoomed(plain, (70, 6, 35), 0)
        np.testing.assert_array_equal(prepared(backend, laid_out(plain, axes, (1, 1, 1)), (70, 6, 35), tables), picked)

    def test_nearest_tables_with_functions(self, backend: Backend) -> None:
        source = values((1, 8, 9, 10), np.int16)
        tables = nearest_tables((8, 9, 10), (5, 14, 13))
        got = prepared(backend, source, (5, 14, 13), tables, ClampedAffine(2.0, 1.0), IDENTITY)
        np.testing.assert_array_equal(got, zoomed(source, (5, 14, 13), 0) * 2.0 + 1.0)

    @pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
    def test_a_neighbour_without_weight_does_not_leak(self, backend: Backend, axes: tuple[int, ...]) -> None:
        plain = values((1, 5, 5, 5), np.float32)
        plain[0, 2, 2, 2], plain[0, 4, 4, 4], plain[0, 0, 3, 1] = np.inf, np.nan, -np.inf
        source = laid_out(plain, axes, (1, -1, -1))
        # every second output lies exactly on a sample
        got = prepared(backend, source, (9, 9, 9), linear_tables((5, 5, 5), (9, 9, 9)))
        np.testing.assert_array_equal(got[:, ::2, ::2, ::2], plain)
        assert np.isfinite(got).sum() == got.size - (27 + 8 + 18)

    @pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
    def test_zeros_keep_their_sign_on_samples(self, backend: Backend, axes: tuple[int, ...]) -> None:
        plain = np.where(np.arange(5 * 6 * 5).reshape(1, 5, 6, 5) % 2, np.float32(0.0), np.float32(-0.0))
        unsigned = ClampedAffine(1.0, -0.0)  # -0 + 0 is 0, -0 + -0 is -0
        got = prepared(backend, laid_out(plain, axes, (1, 1, 1)), (9, 11, 9), linear_tables((5, 6, 5), (9, 11, 9)),
                       unsigned, unsigned)  # fmt: skip
        assert not got.any()
        np.testing.assert_array_equal(np.signbit(got[:, ::2, ::2, ::2]), np.signbit(plain))

    @pytest.mark.parametrize("factor", [0.15, 0.4, 0.9, 1.3, 1.5, 1.9, 2.7, 4.3, 9.0])
    def test_a_turned_source_of_any_scale(self, backend: Backend, factor: float) -> None:
        """Source and output differ in their fastest axis; 65 and 66 outputs leave rests of every tile."""
        target = (65, 3, 66)
        shape = tuple(max(2, round(n * factor)) for n in target)
        plain, tables = values((1, *shape), np.int16), linear_tables(shape, target, False)
        for steps, before in (((1, 1, -1), IDENTITY), ((-1, 1, 1), ClampedAffine(0.5, -3.0, -400.0, 450.0))):
            source = laid_out(plain, (2, 1, 0), steps)
            expected = zoomed(np.clip(plain * before.scale + before.shift, before.low, before.high), target, 1, False)
            got = prepared(backend, source, target, tables, before)
            np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)

    def test_a_weight_of_one_is_the_upper_sample_alone(self, backend: Backend) -> None:
        source = np.full((1, 1, 1, 2), np.inf, np.float32)
        source[0, 0, 0, 1] = 7.0
        one = np.ones(1, np.float32)
        table = AxisTable(np.zeros(1, np.int32), np.ones(1, np.int32), one)
        got = prepared(backend, source, (1, 1, 1), (identity_table(1), identity_table(1), table))
        assert got.item() == 7.0

    def test_nan_passes_both_clamps(self, backend: Backend) -> None:
        source = np.array([np.nan, np.inf, -np.inf, 2.0], np.float32).reshape(1, 1, 1, 4)
        clamp = ClampedAffine(1.0, 0.0, -5.0, 5.0)
        got = prepared(backend, source, (1, 1, 4), None, clamp, clamp)
        np.testing.assert_array_equal(got.ravel(), [np.nan, 5.0, -5.0, 2.0])

    @pytest.mark.parametrize("dtype", ["i2", "u2", "f4"])
    def test_float16_out_is_the_rounded_float32(self, backend: Backend, dtype: str) -> None:
        source = values((2, 9, 11, 7), dtype)
        tables = linear_tables((9, 11, 7), (13, 5, 20))
        single = prepared(backend, source, (13, 5, 20), tables)
        np.testing.assert_array_equal(
            prepared(backend, source, (13, 5, 20), tables, dtype=np.float16), single.astype(np.float16)
        )

    def test_float16_out_overflows_to_infinity(self, backend: Backend) -> None:
        source = np.array([1e6, -1e6, 65504.0, np.nan], np.float32).reshape(1, 1, 1, 4)
        got = prepared(backend, source, (1, 1, 4), None, dtype=np.float16)
        np.testing.assert_array_equal(got.ravel(), np.array([np.inf, -np.inf, 65504.0, np.nan], np.float16))

    @pytest.mark.parametrize(("dtype", "out"), [("u1", "u1"), ("u1", "u2"), ("i2", "i2"), ("i4", "i4"), (">i2", "i2")])
    def test_labels_are_copied_exactly(self, backend: Backend, dtype: str, out: str) -> None:
        source = values((1, 9, 11, 7), dtype)
        if dtype == "i4":
            source += 2**30 + 1  # not a float32
        for align_corners in (True, False):
            tables = nearest_tables((9, 11, 7), (13, 5, 20), align_corners)
            got = prepared(backend, source, (13, 5, 20), tables, dtype=out)
            np.testing.assert_array_equal(got, zoomed(source.astype(out), (13, 5, 20), 0, align_corners))

    def test_an_empty_volume_is_no_work(self, backend: Backend) -> None:
        assert prepared(backend, np.zeros((0, 2, 3, 4), np.int16), (2, 3, 4), None).shape == (0, 2, 3, 4)

    def test_mistakes_are_refused(self, backend: Backend) -> None:
        source = values((1, 4, 5, 6), np.int16)
        linear = linear_tables((4, 5, 6), (8, 5, 6))
        with pytest.raises(ValueError, match="without tables the shapes must agree"):
            prepared(backend, source, (4, 5, 7), None)
        with pytest.raises(ValueError, match="axis 0: the table has 8 entries, the output 9"):
            prepared(backend, source, (9, 5, 6), linear)
        with pytest.raises(ValueError, match="axis 0: the table reads 0 … 4 of 4 samples"):
            prepared(backend, source, (8, 5, 6), linear_tables((5, 5, 6), (8, 5, 6)))
        with pytest.raises(ValueError, match="nearest tables"):
            prepared(backend, source, (8, 5, 6), linear, dtype=np.int16)
        with pytest.raises(ValueError, match="identity functions"):
            prepared(backend, source, (4, 5, 6), None, ClampedAffine(2.0), IDENTITY, dtype=np.int16)
        with pytest.raises(ValueError, match="uint8 does not hold every value of int16"):
            prepared(backend, source, (4, 5, 6), None, dtype=np.uint8)
        with pytest.raises(ValueError, match="found complex64"):
            prepared(backend, source.astype(np.complex64), (4, 5, 6), None)
        with pytest.raises(ValueError, match="writes float32, float16 and integers, found float64"):
            prepared(backend, source, (4, 5, 6), None, dtype=np.float64)
