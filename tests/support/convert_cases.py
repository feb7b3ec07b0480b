"""Tests of conversions and copies of arrays on a device: NumPy's values at any size, start and direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

PAIRS = [tuple(pair.split("_")) for pair in ["u1_f4", "i2_f4", "u2_f4", "f2_f4", "f8_f4", "f4_f2", "f4_f8", "f4_u1"]]
"""Conversions with a separate kernel."""

SIZES = (1, 2, 3, 4, 5, 15, 16, 17, 127, 129, 2047, 2048, 2049, 16390)
"""Around the numbers that a lane takes at once, and around the outputs of a warp."""

EDGES = [0.0, -0.0, 0.4, 0.5, 0.49999997, 1.5, 2.5, 254.4, 254.49998, 254.5, 254.99998, 255.0, 255.5, 300.0, 1e-40]


class ConvertCases:
    @pytest.mark.parametrize(("stored", "written"), PAIRS)
    def test_every_size_start_and_direction(self, backend: Any, stored: str, written: str) -> None:
        rng = np.random.default_rng(0)
        for size in SIZES:
            whole = rng.integers(0, 200, 3 * size + 5).astype(stored)
            uploaded, out = backend.upload(whole), backend.zeros(whole.shape, written)
            for first, step in ((0, 1), (1, 1), (3, 1), (4, 3), (0, 2)):
                cut = slice(first, first + size * step, step)
                for target in (cut, slice(first + 1, first + 1 + size)):
                    backend.convert(uploaded[cut][::-1], out[target][::-1])
                    assert_array_equal(backend.download(out[target]), whole[cut].astype(written))
                    backend.convert(uploaded[cut][::-1], out[target])
                    assert_array_equal(backend.download(out[target]), whole[cut][::-1].astype(written))
            fresh = backend.zeros(whole.shape, written)
            backend.convert(uploaded[:size], fresh[2 : 2 + size])
            actual = backend.download(fresh)
            assert not actual[:2].any()
            assert not actual[2 + size :].any()

    @pytest.mark.parametrize(("stored", "written"), PAIRS)
    def test_rows_with_gaps_transposed_broadcast_and_of_foreign_byte_order(
        self, backend: Any, stored: str, written: str
    ) -> None:
        array = np.random.default_rng(1).integers(0, 200, (5, 6, 37)).astype(stored)
        for view in (np.s_[:], np.s_[1:, ::2], np.s_[:, 1:4, 3:], np.s_[::-1, :, ::-2], np.s_[:, :1], np.s_[:, :, :1]):
            cut = array[view]
            for axes in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
                out = backend.zeros([5, 6, 37], written).transpose(axes)
                if any(n not in (1, m) for n, m in zip(cut.transpose(axes).shape, out.shape, strict=True)):
                    out = out[tuple(slice(0, n) for n in cut.transpose(axes).shape)]
                backend.convert(backend.upload(array)[view].transpose(axes), out)
                want = np.broadcast_to(cut.transpose(axes), out.shape).astype(written)
                assert_array_equal(backend.download(out), want)
        foreign = array.astype(np.dtype(stored).newbyteorder(">"))
        out = backend.zeros(array.shape, written)
        backend.convert(backend.upload(foreign), out)
        assert_array_equal(backend.download(out), array.astype(written))

    @pytest.mark.parametrize(("stored", "written"), PAIRS)
    def test_floats_that_another_dtype_does_not_hold(self, backend: Any, stored: str, written: str) -> None:
        """As by the kernel that converts any dtype, which reads through a table; of that, rounding is SciPy's."""
        rng = np.random.default_rng(2)
        many = rng.normal(size=700) * 10.0 ** rng.integers(-9, 9, 700)
        special = [*EDGES, *(-x for x in EDGES), np.inf, -np.inf, np.nan, 65519.99, 65520.0, 1e-7, 1e39, -1e39]
        with np.errstate(all="ignore"):
            source = np.array([*special, *many]).astype(stored)
        uploaded = backend.upload(source)
        line = backend.index_line(np.arange(source.size))
        for rounds in (False, True):
            out, want = backend.empty(source.shape, written), backend.empty(source.shape, written)
            backend.convert(uploaded, out, rounds=rounds)
            backend.linear(uploaded, want, [line], 0.0, rounds=rounds)
            assert_array_equal(backend.download(out), backend.download(want))
        if written[0] == "f":
            with np.errstate(all="ignore"):
                assert_array_equal(backend.download(out), source.astype(written))

    def test_floats_are_cut_off_or_rounded(self, backend: Any) -> None:
        source = np.array(EDGES, np.float32)
        out = backend.empty(source.shape, np.uint8)
        backend.convert(backend.upload(source), out)
        assert backend.download(out).tolist() == [0, 0, 0, 0, 0, 1, 2, 254, 254, 254, 254, 255, 255, 255, 0]
        backend.convert(backend.upload(source), out, rounds=True)
        assert backend.download(out).tolist() == [0, 0, 0, 1, 0, 2, 3, 254, 254, 255, 255, 255, 255, 255, 0]
        backend.convert(backend.upload(np.float32([-0.5, -1.0, -300, -np.inf, np.nan])), out[:5], rounds=True)
        assert backend.download(out)[:5].tolist() == [0] * 5

    @pytest.mark.parametrize("dtype", ["u1", "i2", "f4", ">f8"])
    def test_copies_of_every_size(self, backend: Any, dtype: str) -> None:
        rng = np.random.default_rng(3)
        for size in SIZES:
            array = rng.integers(0, 200, size + 3).astype(dtype)
            uploaded, out = backend.upload(array), backend.zeros((size + 3,), dtype)
            backend.take(uploaded[1:-2], out[2:-1], [None])
            assert_array_equal(backend.download(out), [0, 0, *array[1:-2], 0])
            index = rng.integers(-1, size, size)
            backend.take(uploaded[:size], out[:size][::-1], [backend.index_line(index)], 7)
            want = np.where(index < 0, 7, array[:size][index])
            assert_array_equal(backend.download(out)[:size][::-1], want)
