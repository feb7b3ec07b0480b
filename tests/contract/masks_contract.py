"""What masks and their extents have to be on every backend, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from prepare_contract import LAYOUTS, SOURCE_DTYPES, few, laid_out, values

from gpu_infer.backends.base.backend import Backend

ALL_DTYPES = [*SOURCE_DTYPES, "i8", "u8"]
OUT_DTYPES = ["u1", "u2", "i2", "f2", "i4", "f4", "i8", "f8"]


class MasksContract:
    @pytest.mark.parametrize("dtype", ALL_DTYPES)
    @pytest.mark.parametrize("written", OUT_DTYPES)
    def test_threshold_of_every_dtype(self, backend: Backend, dtype: str, written: str) -> None:
        array = values((2, 5, 6, 40), dtype)
        edge = float(array[0, 1, 2, 3])  # a voxel that is not above it
        for value in (edge, edge - 0.5, -1.0, 1e300, -1e300):
            out = backend.empty(array.shape, written)
            backend.threshold(backend.upload(array), out, value)
            assert_array_equal(backend.download(out), (array.astype(np.float64) > value).astype(written))

    @few
    @given(
        shape=st.tuples(st.integers(1, 3), *[st.integers(1, 70)] * 3),
        stored=st.sampled_from(LAYOUTS),
        laid=st.sampled_from(LAYOUTS),
        share=st.sampled_from((0.0, 0.001, 0.3)),
        seed=st.integers(0, 99),
    )
    def test_masks_of_any_shape_and_layout(
        self, backend: Backend, shape: Any, stored: Any, laid: Any, share: float, seed: int
    ) -> None:
        array = np.random.default_rng(seed).random(shape, dtype=np.float32)
        source = backend.upload(laid_out(array, *stored))
        out = backend.upload(laid_out(np.full(shape, 7, np.uint8), *laid))
        backend.threshold(source, out, 1 - share)
        want = array > np.float32(1 - share)
        assert_array_equal(backend.download(out), want)
        for axis, held in enumerate(backend.occupied_planes(source, 1 - share), start=1):
            assert held.dtype == np.bool_
            assert_array_equal(held, want.any(axis=tuple({0, 1, 2, 3} - {axis})))
        table = np.random.default_rng(seed).integers(0, 255, 256, np.uint8)
        labels = (array * 255).astype(np.uint8)
        backend.lookup(backend.upload(laid_out(labels, *stored)), table, out)
        assert_array_equal(backend.download(out), table[labels])

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("layout", LAYOUTS[::5])
    def test_lookup_of_wider_labels(self, backend: Backend, dtype: type, layout: Any) -> None:
        labels = np.random.default_rng(3).integers(0, np.iinfo(dtype).max + 1, (2, 4, 9, 35)).astype(dtype)
        table = np.random.default_rng(4).integers(0, 65536, np.iinfo(dtype).max + 1).astype(np.uint16)
        out = backend.upload(laid_out(np.zeros(labels.shape, np.uint16), *layout))
        backend.lookup(backend.upload(labels), table, out)
        assert_array_equal(backend.download(out), table[labels])

    @pytest.mark.parametrize("wide", [np.uint8, np.uint16])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("layout", LAYOUTS[::5])
    def test_overlay_changes_no_voxel_whose_entry_is_0(
        self, backend: Backend, dtype: type, wide: type, layout: Any
    ) -> None:
        rng, shape = np.random.default_rng(5), (2, 4, 9, 35)
        labels = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
        table = rng.integers(0, np.iinfo(wide).max + 1, np.iinfo(dtype).max + 1).astype(wide)
        table[rng.random(table.size) < 0.5] = 0
        before = rng.integers(0, 200, shape).astype(wide)
        out = backend.upload(laid_out(before, *layout))
        backend.overlay(backend.upload(labels), table, out)
        assert_array_equal(backend.download(out), np.where(table[labels] != 0, table[labels], before))

    def test_overlay_refuses(self, backend: Backend) -> None:
        labels, table = backend.zeros((1, 3, 4, 5), np.uint8), np.zeros(256, np.uint16)
        with pytest.raises(ValueError, match="lookup takes"):
            backend.overlay(labels, table, backend.zeros((1, 3, 4, 5), np.uint8))

    @few
    @given(
        shape=st.tuples(st.integers(1, 4), *[st.integers(1, 40)] * 3),
        stored=st.sampled_from(LAYOUTS),
        laid=st.sampled_from(LAYOUTS),
        dtypes=st.tuples(*[st.sampled_from((np.uint8, np.uint16))] * 2),
        seed=st.integers(0, 99),
    )
    def test_merge_masks(
        self, backend: Backend, shape: Any, stored: Any, laid: Any, dtypes: tuple[type, type], seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        masks = np.where(rng.random(shape) < 0.4, rng.integers(1, 300, shape), 0).astype(dtypes[0])
        values = [int(v) for v in rng.integers(0, np.iinfo(dtypes[1]).max + 1, shape[0])]
        want = np.zeros(shape[1:], dtypes[1])
        for mask, value in zip(masks, values, strict=True):
            want[mask != 0] = value
        out = backend.upload(laid_out(np.full((1, *shape[1:]), 7, dtypes[1]), *laid))[0]
        backend.merge_masks(backend.upload(laid_out(masks, *stored)), values, out)
        assert_array_equal(backend.download(out), want)
        # one after another is the same
        out = backend.upload(laid_out(np.full((1, *shape[1:]), 7, dtypes[1]), *laid))[0]
        for channel, value in enumerate(values):
            one = backend.upload(laid_out(masks[channel : channel + 1], *stored))
            backend.merge_masks(one, [value], out, over=channel > 0)
        assert_array_equal(backend.download(out), want)

    def test_merge_masks_refuses(self, backend: Backend) -> None:
        masks, out = backend.zeros((2, 3, 4, 5), np.uint8), backend.zeros((3, 4, 5), np.uint8)
        for wrong in ([1], [1, 2, 3], [1, 256], [-1, 2]):
            with pytest.raises(ValueError, match="expected 2 values of 0 … 255"):
                backend.merge_masks(masks, wrong, out)
        with pytest.raises(ValueError, match=r"merge_masks takes \[C, X, Y, Z\] and \[X, Y, Z\]"):
            backend.merge_masks(masks, [1, 2], masks)
        with pytest.raises(ValueError, match="must be uint8 or uint16, found float32"):
            backend.merge_masks(masks, [1, 2], backend.zeros((3, 4, 5), np.float32))

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 60)] * 3),
        stored=st.sampled_from(LAYOUTS),
        laid=st.sampled_from(LAYOUTS),
        dtype=st.sampled_from((np.uint8, np.uint16)),
        seed=st.integers(0, 99),
    )
    def test_repaint(self, backend: Backend, shape: Any, stored: Any, laid: Any, dtype: type, seed: int) -> None:
        rng = np.random.default_rng(seed)
        names = [0, 0, 1, 7, int(np.iinfo(dtype).max)]
        before = rng.choice(names, (1, *shape)).astype(dtype)
        mask = rng.integers(0, 3, (1, *shape), np.uint8)
        label = names[2 + seed % 3]
        want = before.copy()
        want[(mask != 0) & (before == 0)] = label
        want[(mask == 0) & (before == label)] = 0
        labels = backend.upload(laid_out(before, *laid))
        backend.repaint(backend.upload(laid_out(mask, *stored))[0], label, labels[0])
        assert_array_equal(backend.download(labels), want)

    def test_repaint_stays_in_its_box_and_refuses(self, backend: Backend) -> None:
        labels, box = backend.zeros((6, 7, 8), np.uint8), (slice(1, 4), slice(2, 7, 2), slice(5, None))
        mask = backend.upload(np.ones((3, 3, 3), np.uint8))
        backend.repaint(mask, 200, labels[box])
        want = np.zeros((6, 7, 8), np.uint8)
        want[box] = 200
        assert_array_equal(backend.download(labels), want)
        for label in (0, 256):
            with pytest.raises(ValueError, match=f"label {label} is none of uint8"):
                backend.repaint(mask, label, labels[box])
        with pytest.raises(ValueError, match=r"repaint takes \[X, Y, Z\] twice"):
            backend.repaint(mask, 1, labels)
        with pytest.raises(ValueError, match="a mask of uint8 and labels of uint8 or uint16, found uint16 and uint8"):
            backend.repaint(backend.zeros((6, 7, 8), np.uint16), 1, labels)

    def test_views_with_gaps(self, backend: Backend) -> None:
        array = values((3, 9, 10, 11), np.int16)
        whole = backend.upload(array)
        cut = (slice(1, None), slice(None, None, -2), slice(2, 9), slice(None, None, 3))
        out = backend.zeros((3, 5, 14, 4), np.float32)
        backend.threshold(whole[cut], out[1:, :, ::2], 100)
        assert_array_equal(backend.download(out)[1:, :, ::2], array[cut] > 100)
        assert not backend.download(out)[:, :, 1::2].any()
        assert not backend.download(out)[0].any()
        held = backend.occupied_planes(whole[cut], 900)
        for axis, actual in enumerate(held, start=1):
            assert_array_equal(actual, (array[cut] > 900).any(axis=tuple({0, 1, 2, 3} - {axis})))

    @pytest.mark.parametrize("dtype", ALL_DTYPES)
    def test_extent_of_every_dtype(self, backend: Backend, dtype: str) -> None:
        array = np.zeros((2, 33, 4, 65), dtype)
        array[0, 32, 1, 5], array[1, 2, 3, 64], array[1, 0, 0, 0] = 7, 8, 3
        x, y, z = backend.occupied_planes(backend.upload(array), 3)
        assert [list(np.flatnonzero(v)) for v in (x, y, z)] == [[2, 32], [1, 3], [5, 64]]
        assert not any(v.any() for v in backend.occupied_planes(backend.upload(array), 8))
        assert all(v.all() for v in backend.occupied_planes(backend.upload(array), -1))

    @pytest.mark.parametrize("dtype", ALL_DTYPES)
    def test_what_is_not_zero(self, backend: Backend, dtype: str) -> None:
        array = values((2, 5, 6, 40), dtype)
        array[:, :2], array[:, :, 3], array[..., 7:20] = 0, 0, 0
        if np.dtype(dtype).kind == "f":
            array[0, 0, 0, 0], array[0, 1, 1, 1], array[0, 1, 1, 2] = np.nan, -np.inf, -0.0
        out = backend.empty(array.shape, np.uint8)
        backend.threshold(backend.upload(array), out, None)
        assert_array_equal(backend.download(out), array != 0)
        for axis, held in enumerate(backend.occupied_planes(backend.upload(array), None), start=1):
            assert_array_equal(held, (array != 0).any(axis=tuple({0, 1, 2, 3} - {axis})))

    def test_no_numbers_are_above_nothing(self, backend: Backend) -> None:
        for dtype in (np.float16, np.float32, np.float64):
            array = np.full((1, 3, 1, 2), np.nan, dtype)
            array[0, 1, 0, 0], array[0, 2, 0, 1] = np.inf, -np.inf
            out = backend.empty(array.shape, np.uint8)
            backend.threshold(backend.upload(array), out, -1e9)
            assert [tuple(p) for p in np.argwhere(backend.download(out))] == [(0, 1, 0, 0)]
            assert [list(v) for v in backend.occupied_planes(backend.upload(array), -1e9)] == [
                [False, True, False],
                [True],
                [True, False],
            ]

    def test_compares_as_numpy_does_with_a_float32(self, backend: Backend) -> None:
        top = 1 << 24  # the next integer is none of float32
        for array, value in (
            (np.array([top, top + 1, -top], np.int32), float(top)),
            (np.array([top, top + 1, 0], np.uint32), float(top)),
            (np.array([0.1, np.float64(np.float32(0.1)), 0.2]), 0.1),
            (np.array([1 << 62, (1 << 62) + 1, (1 << 62) + 1024], np.int64), float(1 << 62)),
        ):
            shaped = array.reshape(1, 1, 1, 3)
            out = backend.empty(shaped.shape, np.uint8)
            backend.threshold(backend.upload(shaped), out, value)
            assert_array_equal(backend.download(out), shaped > np.float32(value))

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_lookup_of_every_label(self, backend: Backend, dtype: Any) -> None:
        classes = np.iinfo(dtype).max + 1
        labels = np.random.default_rng(1).permutation(classes).astype(dtype).reshape(2, -1, 4, 8)
        table = np.random.default_rng(2).integers(0, 256, classes, np.uint8)
        out = backend.empty(labels.shape, np.uint8)
        backend.lookup(backend.upload(labels), table, out)
        assert_array_equal(backend.download(out), table[labels])

    def test_nothing_is_no_work(self, backend: Backend) -> None:
        nothing = backend.empty((1, 3, 0, 2), np.uint8)
        backend.threshold(nothing, nothing, 0)
        backend.lookup(nothing, np.zeros(256, np.uint8), nothing)
        assert [list(v) for v in backend.occupied_planes(nothing, 0)] == [[False] * 3, [], [False] * 2]

    def test_masks_refuse(self, backend: Backend) -> None:
        a, b = backend.zeros((1, 2, 2, 2), np.uint8), backend.zeros((1, 2, 2, 3), np.uint8)
        wide = backend.zeros((1, 2, 2, 2), np.uint16)
        table = np.zeros(256, np.uint8)
        with pytest.raises(ValueError, match=r"threshold takes \[C, X, Y, Z\] twice"):
            backend.threshold(a, b, 0)
        with pytest.raises(ValueError, match="integers and floats of up to 8 bytes, found uint8 and complex64"):
            backend.threshold(a, backend.zeros((1, 2, 2, 2), np.complex64), 0)
        with pytest.raises(ValueError, match=r"lookup takes \[C, X, Y, Z\] twice"):
            backend.lookup(a, table, b)
        with pytest.raises(ValueError, match="labels must be uint8 or uint16, found int16"):
            backend.lookup(backend.zeros((1, 2, 2, 2), np.int16), table, a)
        with pytest.raises(ValueError, match=r"a table of 65536 uint8 .* found uint8 \(256,\) and uint8"):
            backend.lookup(wide, table, a)
        with pytest.raises(ValueError, match=r"writes its dtype, found uint8 .* and uint16"):
            backend.lookup(a, table, wide)
        with pytest.raises(ValueError, match=r"an extent is that of real \[C, X, Y, Z\]"):
            backend.occupied_planes(a[0], 0)
