"""What statistics of values under labels have to be on every backend, against NumPy and SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from prepare_contract import LAYOUTS, SOURCE_DTYPES, few, laid_out
from scipy import ndimage

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.label_tables import LabelStatistics

Any3 = NDArray[Any]


def random_values(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any3:
    """Integers of the whole range of the dtype; floats of both signs and many exponents, some of them not finite."""
    kind, rng = np.dtype(dtype), np.random.default_rng(seed)
    if kind.kind != "f":
        info = np.iinfo(kind)
        return rng.integers(info.min, int(info.max) + 1, shape).astype(kind)
    values = (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(kind)
    special = values.reshape(-1)[:: max(7, values.size // 5)]
    special[...] = np.resize([np.nan, np.inf, -np.inf, 0.0, -0.0], special.shape)
    return values


def check(found: dict[int, LabelStatistics], labels: Any3, values: Any3, chosen: list[int]) -> None:
    """Every number by SciPy's measurements."""
    if values.dtype.kind == "f":
        values = values.astype(np.float32)  # a float64 is read so
    values = values.astype(np.float64)
    counts, boxes = np.bincount(labels.ravel(), minlength=max(chosen) + 1), ndimage.find_objects(labels)
    assert list(found) == [label for label in chosen if counts[label]]
    centres = ndimage.center_of_mass(np.ones(labels.shape), labels, list(found)) if found else []
    for (label, row), centre in zip(found.items(), centres, strict=True):
        assert row.voxels == counts[label]
        assert tuple(slice(*ends) for ends in zip(row.begin, row.end, strict=True)) == boxes[label - 1]
        np.testing.assert_allclose(row.centre, centre, rtol=1e-12, atol=1e-12)
    known = np.where(np.isfinite(values), labels, 0)
    finite = np.bincount(known.ravel(), minlength=max(chosen) + 1)
    assert {label: row.voxels - row.not_finite for label, row in found.items()} == {n: finite[n] for n in found}
    for label in (label for label in found if not finite[label]):
        row = found[label]
        assert all(math.isnan(v) for v in (row.mean, row.std, row.median, row.minimum, row.maximum))
    index = [label for label in found if finite[label]]
    if not index:
        return
    size, rows = np.abs(values[known > 0]).max(initial=0), [found[label] for label in index]
    assert [row.minimum for row in rows] == list(ndimage.minimum(values, known, index))
    assert [row.maximum for row in rows] == list(ndimage.maximum(values, known, index))
    assert [row.median for row in rows] == list(ndimage.median(values, known, index))
    means = ndimage.mean(values, known, index)
    with np.errstate(invalid="ignore"):  # SciPy divides for numbers between the labels, too
        deviations = ndimage.standard_deviation(values, known, index)
    np.testing.assert_allclose([row.mean for row in rows], means, rtol=1e-12, atol=1e-12 * size)
    np.testing.assert_allclose([row.std for row in rows], deviations, rtol=1e-11, atol=1e-12 * size)


class LabelStatisticsContract:
    @pytest.mark.parametrize("dtype", SOURCE_DTYPES)
    @pytest.mark.parametrize(("stored", "highest"), [("u1", 4), ("u2", 4), ("u2", 300)])
    def test_statistics_of_every_dtype(self, backend: Backend, dtype: str, stored: str, highest: int) -> None:
        """With 300 labels, small integers are summed as wide ones."""
        labels = np.random.default_rng(1).integers(0, highest + 1, (5, 12, 40)).astype(stored)
        values, chosen = random_values(labels.shape, dtype), list(range(1, highest + 1))
        check(backend.label_statistics(backend.upload(labels), values, chosen), labels, values, chosen)

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 70)] * 3),
        order=st.sampled_from(LAYOUTS),
        laid=st.sampled_from(LAYOUTS),
        dtype=st.sampled_from(("i2", "f4")),
        highest=st.sampled_from((1, 3, 40)),
        run=st.sampled_from((1, 5, 200)),
        seed=st.integers(0, 99),
    )
    def test_statistics_of_any_shape_and_layout(
        self, backend: Backend, shape: Any, order: Any, laid: Any, dtype: str, highest: int, run: int, seed: int
    ) -> None:
        rng, size = np.random.default_rng(seed), math.prod(shape)
        labels = np.repeat(rng.integers(0, highest + 1, -(-size // run)), run)[:size].reshape(shape).astype(np.uint8)
        values, chosen = random_values(shape, dtype, seed), list(range(highest, 0, -1))
        placed = backend.upload(laid_out(labels[None], *laid))[0]
        check(backend.label_statistics(placed, laid_out(values[None], *order)[0], chosen), labels, values, chosen)

    def test_views_with_gaps(self, backend: Backend) -> None:
        labels = np.random.default_rng(2).integers(0, 3, (9, 40, 50)).astype(np.uint8)
        values = random_values((9, 40, 50), "i2")
        cut = (slice(None, None, -2), slice(3, 30), slice(1, None, 3))
        check(
            backend.label_statistics(backend.upload(labels)[cut], values[cut], [1, 2]), labels[cut], values[cut], [1, 2]
        )

    @pytest.mark.parametrize("dtype", [">i2", ">f4", ">f8"])
    def test_values_of_the_other_byte_order(self, backend: Backend, dtype: str) -> None:
        labels = np.random.default_rng(2).integers(0, 3, (4, 5, 60)).astype(np.uint16)
        values = random_values(labels.shape, dtype[1:]).astype(dtype)
        check(backend.label_statistics(backend.upload(labels), values, [1, 2]), labels, values, [1, 2])

    def test_thousands_of_labels(self, backend: Backend) -> None:
        labels = np.random.default_rng(3).integers(0, 3001, (11, 30, 41)).astype(np.uint16)
        labels[0, 0, 0] = 65535
        chosen = [*range(1, 3001), 65535]
        for dtype in ("i2", "f4"):
            values = random_values(labels.shape, dtype)
            check(backend.label_statistics(backend.upload(labels), values, chosen), labels, values, chosen)

    def test_several_slabs(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        """Planes at both ends have no label and are not read."""
        labels = np.random.default_rng(4).integers(0, 4, (13, 20, 30)).astype(np.uint8)
        labels[:2] = labels[-3:] = 0
        monkeypatch.setattr(type(backend), "_slab_bytes", lambda *_, **__: 3000)
        for dtype in ("u1", "i2", "f4", "f8"):
            values = random_values(labels.shape, dtype)
            values[:2] = values[-3:] = 0
            check(backend.label_statistics(backend.upload(labels), values, [1, 2, 3]), labels, values, [1, 2, 3])

    @pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
    def test_by_hand(self, backend: Backend, dtype: str) -> None:
        labels, values = np.zeros((3, 4, 5), np.uint8), np.zeros((3, 4, 5), dtype)
        labels[1, 2, 3] = 7
        labels[0, 0, 0] = labels[0, 0, 1] = labels[2, 3, 4] = labels[2, 3, 3] = 255
        values[1, 2, 3] = 100
        values[0, 0, 0], values[0, 0, 1], values[2, 3, 4], values[2, 3, 3] = 1, 2, 5, 8
        actual = backend.label_statistics(backend.upload(labels), values, [1, 7, 255])
        assert actual == {
            7: LabelStatistics(1, 0, 100.0, 0.0, 100.0, 100.0, 100.0, (1, 2, 3), (2, 3, 4), (1.0, 2.0, 3.0)),
            255: LabelStatistics(4, 0, 4.0, math.sqrt(7.5), 3.5, 1.0, 8.0, (0, 0, 0), (3, 4, 5), (1.0, 1.5, 2.0)),
        }

    def test_the_median_is_between_two_distant_values(self, backend: Backend) -> None:
        """The middle values differ in every digit, or in the last one alone."""
        labels = np.ones((1, 1, 4), np.uint8)
        for dtype, middle in (
            ("f4", (-3e38, 2e-45)),
            ("i4", (-(2**31), 2**31 - 1)),
            ("u4", (7, 8)),
            ("f4", (1.0, 1.5)),
        ):
            values = np.array([[[middle[1], middle[0], middle[1], middle[0]]]]).astype(dtype)
            row = backend.label_statistics(backend.upload(labels), values, [1])[1]
            assert row.median == np.median(values.astype(np.float64))

    def test_sums_are_exact(self, backend: Backend) -> None:
        """A large mean does not cancel a small deviation, and squares do not overflow."""
        labels = np.ones((8, 64, 64), np.uint8)
        for values, mean, std in (
            (np.where(np.arange(labels.size).reshape(labels.shape) % 2, 2**31 - 1, 2**31 - 3), 2.0**31 - 2, 1.0),
            (np.where(np.arange(labels.size).reshape(labels.shape) % 2, -(2**31), 2**31 - 2), -1.0, 2.0**31 - 1),
        ):
            row = backend.label_statistics(backend.upload(labels), values.astype(np.int32), [1])[1]
            assert (row.mean, row.std) == (mean, std)
        tiny = np.full(labels.shape, 3e-45, np.float32)
        tiny[0, 0, 0] = np.float32(1e20)
        row = backend.label_statistics(backend.upload(labels), tiny, [1])[1]
        assert row.mean == float(np.float32(1e20)) / labels.size

    def test_no_label_is_no_work(self, backend: Backend) -> None:
        labels, values = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.int16)
        assert backend.label_statistics(backend.upload(labels), values, [1, 2]) == {}
        assert backend.label_statistics(backend.upload(labels), values, []) == {}
        nothing = np.zeros((2, 0, 4), np.uint8)
        assert backend.label_statistics(backend.upload(nothing), nothing, [1]) == {}

    def test_label_statistics_refuse(self, backend: Backend) -> None:
        labels = backend.upload(np.ones((2, 3, 4), np.uint8))
        for other, chosen, message in (
            (np.zeros((2, 3, 5), np.int16), [1], r"labels and values \[I, J, K\], found \(2, 3, 4\) and \(2, 3, 5\)"),
            (np.zeros((2, 3, 4), np.int64), [1], "integers of up to 4 bytes and of floats, found int64"),
            (np.zeros((2, 3, 4), np.complex64), [1], "found complex64"),
            (np.zeros((2, 3, 4), np.int16), [0, 1], r"different numbers from 1 to 255, found \[0, 1\]"),
            (np.zeros((2, 3, 4), np.int16), [1, 1], "different numbers"),
            (np.zeros((2, 3, 4), np.int16), [256], "different numbers"),
        ):
            with pytest.raises(ValueError, match=message):
                backend.label_statistics(labels, other, chosen)
        with pytest.raises(ValueError, match="labels must be uint8 or uint16, found int16"):
            backend.label_statistics(backend.upload(np.ones((2, 3, 4), np.int16)), np.zeros((2, 3, 4)), [1])

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 40)] * 3),
        layout=st.sampled_from(LAYOUTS),
        dtype=st.sampled_from((np.uint8, np.uint16)),
        seed=st.integers(0, 99),
    )
    def test_boxes_are_scipys(self, backend: Backend, shape: Any, layout: Any, dtype: type, seed: int) -> None:
        rng = np.random.default_rng(seed)
        labels = (rng.integers(1, 9, shape) * (rng.random(shape) < rng.choice([0.0, 0.001, 0.01, 0.5]))).astype(dtype)
        boxes = ndimage.find_objects(labels, max_label=9)
        actual = backend.label_boxes(backend.upload(laid_out(labels[None], *layout))[0], [8, 1, 9, 3])
        assert actual == {label: boxes[label - 1] for label in (8, 1, 9, 3) if boxes[label - 1]}

    def test_boxes_of_other_arrays(self, backend: Backend) -> None:
        with pytest.raises(ValueError, match="labels must be uint8 or uint16, found int16"):
            backend.label_boxes(backend.zeros((2, 3, 4), np.int16), [1])
        with pytest.raises(ValueError, match="labels must have three axes"):
            backend.label_boxes(backend.zeros((1, 2, 3, 4), np.uint8), [1])
        assert backend.label_boxes(backend.zeros((0, 3, 4), np.uint8), [1]) == {}
        assert backend.label_boxes(backend.zeros((2, 3, 4), np.uint8), []) == {}
