"""What `restore_argmax` has to do on every backend: SciPy's zoom and NumPy's argmax; to the bit what two steps do."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from prepare_contract import ATOL, LAYOUTS, laid_out, linear_tables, nearest_tables, zoomed

from gpu_infer.backends.base.backend import Backend, Tables
from gpu_infer.backends.tables import AxisTable, ClampedAffine

few = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


def smooth(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Random scores [K, X, Y, Z] of a few hundred."""
    return (np.random.default_rng(seed).normal(size=shape) * 300).astype(np.float32)


def label_array(target: tuple[int, ...], dtype: Any, layout: Any) -> NDArray[Any]:
    """Labels of one value that no class has, in another memory order."""
    return laid_out(np.full((1, *target), np.iinfo(dtype).max, dtype), *layout)[0]


def in_one(backend: Backend, scores: NDArray[Any], tables: Tables, labels: NDArray[Any]) -> NDArray[Any]:
    out = backend.upload(labels.copy(order="K"))
    backend.restore_argmax(backend.upload(scores), tables, out)
    return backend.download(out)


def in_two(backend: Backend, scores: NDArray[Any], tables: Tables, labels: NDArray[Any]) -> NDArray[Any]:
    """`prepare` into scores of the labels' memory order, then `argmax`."""
    axes = sorted(range(3), key=lambda a: -abs(labels.strides[a]))
    wide = np.empty([scores.shape[0], *(labels.shape[a] for a in axes)], np.float32)
    whole = wide.transpose(0, *(1 + axes.index(a) for a in range(3)))
    back = tuple(slice(None, None, -1 if step < 0 else 1) for step in labels.strides)
    resampled = backend.upload(whole[(slice(None), *back)])
    backend.resample(backend.upload(scores), resampled, tables, ClampedAffine(), ClampedAffine())
    out = backend.zeros(labels.shape, labels.dtype)
    backend.argmax(resampled, out)
    return backend.download(out)


PLAIN = ((0, 1, 2), (1, 1, 1))


class RestoreArgmaxContract:
    @pytest.mark.parametrize("align_corners", [True, False])
    @pytest.mark.parametrize("target", [(13, 5, 20), (20, 17, 3), (9, 11, 7), (70, 3, 40)])
    def test_scores_become_labels_as_by_scipy(self, backend: Backend, target: Any, align_corners: bool) -> None:
        scores = smooth((4, 9, 11, 7))
        tables = linear_tables((9, 11, 7), target, align_corners)
        wanted = zoomed(scores.astype(np.float64), target, 1, align_corners)
        first, second = np.sort(wanted, axis=0)[-1:-3:-1]
        clear = first - second > 2 * ATOL  # what float32 can tell apart
        assert clear.mean() > 0.99
        for axes in permutations(range(3)):
            got = in_one(backend, scores, tables, label_array(target, np.uint8, (axes, (1, -1, 1))))
            np.testing.assert_array_equal(got[clear], wanted.argmax(0)[clear])
            assert got.max() < 4

    @few
    @given(
        channels=st.integers(1, 6),
        shape=st.tuples(*[st.integers(1, 24)] * 3),
        target=st.tuples(*[st.integers(1, 40)] * 3),
        stored=st.sampled_from(LAYOUTS),
        written=st.sampled_from(LAYOUTS),
        align_corners=st.booleans(),
        wide=st.booleans(),
        seed=st.integers(0, 99),
    )
    def test_one_pass_gives_the_labels_of_two(
        self,
        backend: Backend,
        channels: int,
        shape: Any,
        target: Any,
        stored: Any,
        written: Any,
        align_corners: bool,
        wide: bool,
        seed: int,
    ) -> None:
        # two digits: neighbours tie, and a rounding more or less would show
        scores = laid_out(np.round(smooth((channels, *shape), seed) / 300, 1), *stored)
        labels = label_array(target, np.uint16 if wide else np.uint8, written)
        tables = linear_tables(shape, target, align_corners)
        np.testing.assert_array_equal(in_one(backend, scores, tables, labels), in_two(backend, scores, tables, labels))

    @pytest.mark.parametrize("stored", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
    def test_restore_argmax_of_many_tiles_and_chunks(self, backend: Backend, stored: Any) -> None:
        scores = laid_out(smooth((3, 30, 70, 150)), stored, (1, -1, 1))
        tables = linear_tables((30, 70, 150), (41, 90, 330))
        for written in ((0, 1, 2), (2, 1, 0), (2, 0, 1)):
            labels = label_array((41, 90, 330), np.uint8, (written, (1, 1, -1)))
            np.testing.assert_array_equal(
                in_one(backend, scores, tables, labels), in_two(backend, scores, tables, labels)
            )

    def test_restore_argmax_of_a_strong_reduction(self, backend: Backend) -> None:
        """Few outputs that lie far apart: no tile of the source fits into shared memory."""
        scores = smooth((3, 300, 4, 310))
        tables = linear_tables((300, 4, 310), (35, 4, 36))
        labels = label_array((35, 4, 36), np.uint8, ((2, 1, 0), (1, 1, 1)))
        np.testing.assert_array_equal(in_one(backend, scores, tables, labels), in_two(backend, scores, tables, labels))

    def test_restore_argmax_of_more_than_256_classes(self, backend: Backend) -> None:
        scores = smooth((300, 3, 4, 5))
        tables = linear_tables((3, 4, 5), (5, 6, 7))
        labels = label_array((5, 6, 7), np.uint16, ((2, 1, 0), (1, 1, 1)))
        got = in_one(backend, scores, tables, labels)
        np.testing.assert_array_equal(got, in_two(backend, scores, tables, labels))
        assert got.max() > 255
        with pytest.raises(ValueError, match="300 channels do not fit labels of uint8"):
            in_one(backend, scores, tables, label_array((5, 6, 7), np.uint8, PLAIN))

    def test_restore_argmax_gives_a_tie_to_the_lowest_index(self, backend: Backend) -> None:
        scores = np.zeros((4, 5, 6, 7), np.float32)
        scores[1:3] = 1.0
        tables = linear_tables((5, 6, 7), (9, 4, 11))
        assert (in_one(backend, scores, tables, label_array((9, 4, 11), np.uint8, PLAIN)) == 1).all()

    def test_restore_argmax_of_negative_scores_and_one_channel(self, backend: Backend) -> None:
        scores = -1.0 - np.abs(smooth((3, 4, 5, 6)))
        tables = linear_tables((4, 5, 6), (6, 7, 8))
        labels = label_array((6, 7, 8), np.uint8, PLAIN)
        expected = zoomed(scores.astype(np.float64), (6, 7, 8), 1).argmax(0)
        np.testing.assert_array_equal(in_one(backend, scores, tables, labels), expected)
        assert not in_one(backend, scores[:1], tables, labels).any()

    def test_restore_argmax_of_nan_and_infinite_scores(self, backend: Backend) -> None:
        """A NaN behind channel 0 never wins, one in it always does; neighbours without weight do not leak."""
        scores = np.array([[1, np.nan, 1, np.nan], [np.nan, 2, 0, np.nan], [3, 1, np.inf, np.nan]], np.float32)
        for axis in range(3):
            shape, target = [1, 1, 1], [1, 1, 1]
            shape[axis], target[axis] = 4, 7
            tables = linear_tables(tuple(shape), tuple(target))
            labels = label_array(tuple(target), np.uint8, PLAIN)
            backend.take_nan_scores()
            got = in_one(backend, scores.reshape(3, *shape), tables, labels).ravel()
            # in between: channel 0 is NaN from 0.5 to 2.5
            assert got.tolist() == [2, 0, 0, 0, 2, 0, 0]
            assert backend.take_nan_scores() == 0  # they were counted where they came from

    @pytest.mark.parametrize("written", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
    def test_restore_argmax_on_samples_reads_no_neighbour(self, backend: Backend, written: Any) -> None:
        """Every second label lies exactly on a sample, with infinite and NaN neighbours."""
        scores = smooth((3, 36, 5, 34))
        chosen = np.random.default_rng(1).integers(0, scores.size, (4, scores.size // 40))
        for index, value in zip(chosen, (np.inf, -np.inf, np.nan, -0.0), strict=True):
            scores.ravel()[index] = value
        best, expected = scores[0], np.zeros(scores.shape[1:], np.uint8)
        for c in (1, 2):
            better = scores[c] > best
            best, expected = np.where(better, scores[c], best), np.where(better, c, expected)
        target = (71, 9, 67)
        labels = label_array(target, np.uint8, (written, (1, -1, 1)))
        got = in_one(backend, scores, linear_tables((36, 5, 34), target), labels)
        np.testing.assert_array_equal(got[::2, ::2, ::2], expected)

    @pytest.mark.parametrize("factor", [0.15, 0.4, 0.9, 1.3, 1.9, 2.6, 4.0])
    def test_restore_argmax_of_any_scale(self, backend: Backend, factor: float) -> None:
        target = (65, 3, 34)
        shape = tuple(max(2, round(n * factor)) for n in target)
        scores, labels = smooth((3, *shape)), label_array(target, np.uint8, ((2, 1, 0), (1, 1, 1)))
        wanted = zoomed(scores.astype(np.float64), target, 1, False)
        first, second = np.sort(wanted, axis=0)[-1:-3:-1]
        clear = first - second > 2 * ATOL
        got = in_one(backend, scores, linear_tables(shape, target, False), labels)
        np.testing.assert_array_equal(got[clear], wanted.argmax(0)[clear])

    def test_views_of_scores_and_labels(self, backend: Backend) -> None:
        whole, buffer = smooth((6, 12, 10, 14)), np.full((16, 18, 20), 9, np.uint8)
        scores = whole[1::2, 1::2, ::-3, 2:13:2]
        tables = linear_tables(scores.shape[1:], (7, 9, 10))
        expected = buffer.copy()
        expected[1:15:2, :9, ::-2] = in_two(backend, scores.copy(), tables, np.zeros((7, 9, 10), np.uint8))
        out = backend.upload(buffer.copy())
        backend.restore_argmax(backend.upload(whole)[1::2, 1::2, ::-3, 2:13:2], tables, out[1:15:2, :9, ::-2])
        np.testing.assert_array_equal(backend.download(out), expected)

    def test_nearest_tables_and_ones_that_run_backwards(self, backend: Backend) -> None:
        scores = smooth((3, 40, 5, 45))
        nearest = nearest_tables((40, 5, 45), (50, 7, 30))
        labels = label_array((50, 7, 30), np.uint8, ((2, 1, 0), (1, 1, 1)))
        picked = zoomed(scores, (50, 7, 30), 0).argmax(0)
        np.testing.assert_array_equal(in_one(backend, scores, nearest, labels), picked)
        straight = linear_tables((40, 5, 45), (50, 7, 30))
        flipped = tuple(AxisTable(t.lower[::-1], t.upper[::-1], t.weight[::-1]) for t in straight)
        got = in_one(backend, scores, flipped, labels)
        np.testing.assert_array_equal(got, in_one(backend, scores, straight, labels)[::-1, ::-1, ::-1])

    def test_no_labels_are_no_work(self, backend: Backend) -> None:
        none = AxisTable(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))
        x, y, _ = linear_tables((4, 4, 4), (5, 5, 5))
        labels = backend.zeros((5, 5, 0), np.uint8)
        backend.restore_argmax(backend.zeros((2, 4, 4, 4), np.float32), (x, y, none), labels)

    def test_restore_argmax_refuses_mistakes(self, backend: Backend) -> None:
        scores, labels = smooth((2, 4, 5, 6)), label_array((8, 5, 6), np.uint8, PLAIN)
        tables = linear_tables((4, 5, 6), (8, 5, 6))
        with pytest.raises(ValueError, match=r"native float32 \[K, X, Y, Z\], found <f8 \(2, 4, 5, 6\)"):
            in_one(backend, scores.astype(np.float64), tables, labels)
        with pytest.raises(ValueError, match=r"grid's shape \(8, 5, 6\), found \(8, 5, 5\)"):
            in_one(backend, scores, tables, labels[:, :, :5])
        with pytest.raises(ValueError, match="axis 0: the table reads 0 … 3 of 3 samples"):
            in_one(backend, scores[:, :3], tables, labels)
        with pytest.raises(ValueError, match="uint8 or uint16, found int16"):
            in_one(backend, scores, tables, labels.astype(np.int16))
