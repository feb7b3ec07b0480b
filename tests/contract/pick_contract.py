"""What restoring labels has to be at any start, gaps and directions: kernels copy words of memory through tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from prepare_contract import few, nearest_tables

from gpu_infer.backends.base.backend import Backend, Tables
from gpu_infer.backends.tables import AxisTable


def labels(shape: tuple[int, ...], dtype: Any) -> Any:
    kind = np.dtype(dtype)
    numbers = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape, kind.newbyteorder("="), endpoint=True)
    return numbers.astype(kind)


def picked(source: Any, tables: Tables) -> Any:
    return source[np.ix_(*(table.lower for table in tables))]


PAIRS = [
    ("u1", "u1"),
    ("u2", "u2"),
    (">u2", "u2"),
    ("u1", "u2"),
    ("u1", "u4"),
    ("i1", "i2"),
    (">u2", "u4"),
    ("u4", "i8"),
]


class PickContract:
    @pytest.mark.parametrize(("stored", "written"), PAIRS)
    @pytest.mark.parametrize("shape", [(5, 6, 7), (70, 3, 66), (64, 9, 128), (131, 2, 37)])
    def test_words_and_their_ends(self, backend: Backend, shape: tuple[int, ...], stored: str, written: str) -> None:
        """Arrays in the middle of others, from every byte of a word on, with rows that begin at words or do not."""
        target = (shape[0] + 3, shape[1], shape[2] * 3 // 4)
        for gap in (0, 1, 2, 4):  # behind each row
            whole = labels((shape[0], shape[1], shape[2] + 8 + gap), stored)
            uploaded = backend.upload(whole)
            for start in (0, 1, 3):
                tables = nearest_tables(shape, target)
                for flips in ((1, 1, 1), (1, -1, -1), (-1, 1, 1)):
                    cut = (*(slice(None, None, s) for s in flips[:2]), slice(start, start + shape[2]))
                    along = np.s_[:, :, :: flips[2]]
                    source, want = uploaded[cut][along], picked(whole[cut][along], tables)
                    held = backend.zeros((target[2], target[1], target[0] + gap + 4), written)
                    for part in (held.transpose(2, 1, 0), held.transpose(2, 1, 0)[::-1]):
                        out = part[start : start + target[0]]
                        backend.resample_labels(source, tables, out)
                        assert_array_equal(backend.download(out), want)
                    around = backend.zeros((target[2], target[1], target[0] + 8), written).transpose(2, 1, 0)
                    backend.resample_labels(source, tables, around[start : start + target[0]])
                    actual = backend.download(around)
                    assert_array_equal(actual[start : start + target[0]], want)
                    assert not actual[:start].any()
                    assert not actual[start + target[0] :].any()

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 90)] * 3),
        target=st.tuples(*[st.integers(1, 90)] * 3),
        dtype=st.sampled_from(("u1", "u2")),
        fastest=st.tuples(*[st.sampled_from((0, 1, 2))] * 2),
        steps=st.tuples(*[st.sampled_from((1, -1, 2))] * 3),
        seed=st.integers(0, 9),
    )
    def test_any_tables_and_strides(
        self, backend: Backend, shape: Any, target: Any, dtype: str, fastest: Any, steps: Any, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        tables = tuple(
            AxisTable(index, index, np.zeros(n, np.float32))
            for index, n in ((rng.integers(0, m, n).astype(np.int32), n) for m, n in zip(shape, target, strict=True))
        )
        whole = labels(tuple(n * abs(s) for n, s in zip(shape, steps, strict=True)), dtype)
        stored = backend.upload(np.moveaxis(np.moveaxis(whole, fastest[0], 2).copy(), 2, fastest[0]))
        cut = tuple(slice(None, None, s) for s in steps)
        held = backend.zeros(np.moveaxis(np.empty(target), fastest[1], 2).shape, dtype)
        order = [axis for axis in range(3) if axis != fastest[1]] + [fastest[1]]
        out = held.transpose([order.index(axis) for axis in range(3)])
        backend.resample_labels(stored[cut], (tables[0], tables[1], tables[2]), out)
        assert_array_equal(backend.download(out), picked(whole[cut], (tables[0], tables[1], tables[2])))

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
    @pytest.mark.parametrize("size", [64, 300, 1100, 4100])
    def test_reductions(self, backend: Backend, dtype: Any, size: int) -> None:
        """So strong that a row has more words than a block has threads, and that no tile holds them."""
        array = labels((size, 2, size // 2), dtype)
        for target in ((16, 2, 16), (size, 2, 16), (70, 2, 40)):
            tables = nearest_tables(array.shape, target)
            out = backend.zeros(target[::-1], dtype).transpose(2, 1, 0)
            backend.resample_labels(backend.upload(array), tables, out)
            assert_array_equal(backend.download(out), picked(array, tables))
