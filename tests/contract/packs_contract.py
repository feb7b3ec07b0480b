"""What operations on label maps have to be at any size, start and gaps: kernels read 16 bytes of labels at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Backend

SIZES = (1, 3, 4, 5, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1023, 1024, 1025, 2048, 3100)
"""Around the labels of a word, of a lane, of a row of a warp and of several."""

STARTS = (0, 1, 2, 4, 8, 15, 16)


def runs(size: int, dtype: Any, seed: int = 0, mean: float = 6) -> NDArray[Any]:
    """Labels as in a map: runs of one, some of them long."""
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(1 / mean, size) * rng.choice([1, 1, 1, 20], size)
    labels = rng.integers(0, 1 << 8 * np.dtype(dtype).itemsize, size)
    return np.repeat(labels, lengths)[:size].astype(dtype)


class PacksContract:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_lookup_of_any_size_and_start(self, backend: Backend, dtype: Any) -> None:
        table = np.random.default_rng(2).integers(1, 256, np.iinfo(dtype).max + 1, np.uint8)
        whole = runs(SIZES[-1] + 40, dtype)
        stored = backend.upload(whole)[None, None, None]
        for size in SIZES:
            for read in STARTS:
                for written in (0, 3, read):
                    out = backend.zeros((1, 1, 1, size + 40), np.uint8)
                    source, target = stored[..., read : read + size], out[..., written : written + size]
                    backend.lookup(source, table, target)
                    actual = backend.download(out)[0, 0, 0]
                    assert_array_equal(actual[written : written + size], table[whole[read : read + size]])
                    assert not actual[:written].any()
                    assert not actual[written + size :].any()

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("width", [1, 16, 47, 255, 256, 272, 300, 1040, 2049])
    def test_lookup_of_lines_with_gaps(self, backend: Backend, dtype: Any, width: int) -> None:
        table = np.random.default_rng(3).integers(1, 256, np.iinfo(dtype).max + 1, np.uint8)
        array = runs(2 * 3 * 35 * 2064, dtype, 1).reshape(2, 3, 35, 2064)
        stored, out = backend.upload(array), backend.empty(array.shape, np.uint8)
        for first in (0, 5):
            last = slice(first, first + width)
            for read in ((np.s_[:], np.s_[:], np.s_[:], last), (np.s_[1:], np.s_[::-2], np.s_[4:5], last)):
                source, target = stored[read], out[read]
                for flips in (np.s_[:, :, :, :], np.s_[:, ::-1, ::-1, ::-1], np.s_[:, :, :, ::-1]):
                    backend.lookup(source[flips], table, target[flips])
                    assert_array_equal(backend.download(target), table[array[read]])
                    backend.lookup(source[flips], table, target)
                    assert_array_equal(backend.download(target), table[array[read]][flips])
        backend.lookup(stored[..., :width].transpose(0, 2, 1, 3), table, out[..., :width].transpose(0, 2, 1, 3))
        assert_array_equal(backend.download(out[..., :width]), table[array[..., :width]])

    def test_lookup_in_place(self, backend: Backend) -> None:
        table = np.roll(np.arange(256, dtype=np.uint8), 1)
        array = runs(5000, np.uint8)
        stored = backend.upload(array.copy())[None, None, None]
        backend.lookup(stored[..., 3:], table, stored[..., 3:])
        assert_array_equal(backend.download(stored)[0, 0, 0], [*array[:3], *table[array[3:]]])

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("mean", [1, 6, 400])
    def test_histogram_of_any_size_and_start(self, backend: Backend, dtype: Any, mean: float) -> None:
        whole = runs(35_000, dtype, 4, mean)
        stored = backend.upload(whole)
        for size in (*SIZES, 32_767, 32_768, 32_770, 34_900):
            for start in STARTS if size < 2000 else (0, 1, 16):
                part = slice(start, start + size)
                assert_array_equal(backend.histogram(stored[part]), np.bincount(whole[part]))
                assert_array_equal(backend.histogram(stored[part][::-1]), np.bincount(whole[part]))

    def test_histogram_of_neighbours_that_differ_in_one_bit(self, backend: Backend) -> None:
        """128 and 127, 0 and 128, 255 and 0: a run ends whichever bits change."""
        for dtype, values in ((np.uint8, (0, 128, 127, 255, 1)), (np.uint16, (0, 32768, 32767, 65535, 256, 255))):
            labels = np.random.default_rng(5).choice(np.array(values, dtype), 4000)
            assert_array_equal(backend.histogram(backend.upload(labels)), np.bincount(labels))
