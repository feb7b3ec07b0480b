"""What restore, histogram and memory operations have to do on every backend."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prepare_contract import linear_tables, nearest_tables, zoomed

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import ResourceError

few = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


def random_labels(shape: tuple[int, ...], dtype: Any = np.uint8, classes: int = 5) -> Any:
    return np.random.default_rng(0).integers(0, classes, shape).astype(dtype)


class LabelsContract:
    @pytest.mark.parametrize("axes", list(permutations(range(3))))
    def test_restore_into_every_orientation(self, backend: Backend, axes: tuple[int, ...]) -> None:
        labels = random_labels((7, 9, 8))
        target = (12, 5, 13)
        expected = zoomed(labels[None], target, 0)[0]
        for steps in product((1, -1), repeat=3):
            stored = backend.zeros([target[a] for a in axes], np.uint8)
            order = [axes.index(a) for a in range(3)]
            flips = tuple(slice(None, None, s) for s in steps)
            backend.resample_labels(
                backend.upload(labels), nearest_tables((7, 9, 8), target), stored.transpose(order)[flips]
            )
            np.testing.assert_array_equal(backend.download(stored).transpose(order)[flips], expected)

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 20)] * 3),
        target=st.tuples(*[st.integers(1, 30)] * 3),
        align_corners=st.booleans(),
        fortran=st.booleans(),
    )
    def test_restore_any_shape(
        self, backend: Backend, shape: Any, target: Any, align_corners: bool, fortran: bool
    ) -> None:
        labels = random_labels(shape, np.uint16, 1000)
        out = backend.zeros(target[::-1], np.uint16).transpose(2, 1, 0) if fortran else backend.zeros(target, np.uint16)
        backend.resample_labels(backend.upload(labels), nearest_tables(shape, target, align_corners), out)
        np.testing.assert_array_equal(backend.download(out), zoomed(labels[None], target, 0, align_corners)[0])

    def test_restore_widens(self, backend: Backend) -> None:
        labels = random_labels((6, 6, 6), classes=250)
        out = backend.zeros((9, 4, 6), np.uint16)
        backend.resample_labels(backend.upload(labels), nearest_tables((6, 6, 6), (9, 4, 6)), out)
        np.testing.assert_array_equal(backend.download(out), zoomed(labels[None], (9, 4, 6), 0)[0])

    def test_restore_refuses_what_it_cannot_keep(self, backend: Backend) -> None:
        labels = backend.zeros((4, 4, 4), np.uint16)
        with pytest.raises(ValueError, match="uint8 does not hold every value of uint16"):
            backend.resample_labels(labels, nearest_tables((4, 4, 4), (8, 8, 8)), backend.zeros((8, 8, 8), np.uint8))
        with pytest.raises(ValueError, match="nearest tables"):
            backend.resample_labels(labels, linear_tables((4, 4, 4), (8, 8, 8)), backend.zeros((8, 8, 8), np.uint16))

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_histogram_counts_every_voxel(self, backend: Backend, dtype: Any) -> None:
        labels = random_labels((17, 13, 11), dtype, 200)
        labels[3:9, 2:12] = 7
        got = backend.histogram(backend.upload(labels))
        np.testing.assert_array_equal(got, np.bincount(labels.ravel()))
        assert got.dtype == np.int64

    def test_histogram_of_views(self, backend: Backend) -> None:
        labels = random_labels((9, 10, 11), np.uint16, 70)
        for view in (labels[::2, 1:, ::-3], labels.transpose(2, 0, 1), labels[4, 4], labels[:1, :1, :1]):
            np.testing.assert_array_equal(backend.histogram(backend.upload(view)), np.bincount(view.ravel()))

    def test_histogram_ends_at_the_greatest_label(self, backend: Backend) -> None:
        assert backend.histogram(backend.zeros((5, 5, 5), np.uint8)).tolist() == [125]
        top = backend.zeros((2, 2, 2), np.uint16)
        top[...] = 65535
        assert backend.histogram(top)[-1] == 8
        with pytest.raises(ValueError, match="uint8 or uint16, found int16"):
            backend.histogram(backend.zeros((2, 2, 2), np.int16))

    @pytest.mark.parametrize("dtype", ["i2", "f4", "u1"])
    def test_what_goes_up_comes_down(self, backend: Backend, dtype: str) -> None:
        host = random_labels((3, 4, 5), dtype, 100).transpose(2, 0, 1)[::-1]
        np.testing.assert_array_equal(backend.download(backend.upload(host)), host)

    def test_zeros_are_zero_and_memory_is_finite(self, backend: Backend) -> None:
        assert not backend.download(backend.zeros((3, 4), np.float32)).any()
        assert backend.empty((2, 3), np.uint16).shape == (2, 3)
        assert 0 < backend.free_bytes() < 1 << 50

    def test_too_much_memory_is_a_resource_error(self, backend: Backend) -> None:
        with pytest.raises(ResourceError, match=r"cannot allocate .* MiB"):
            backend.empty((1 << 20, 1 << 20, 1 << 10), np.float32)
        with pytest.raises(ResourceError, match=r"cannot allocate .* MiB"):
            backend.zeros((1 << 20, 1 << 20, 1 << 10), np.float32)
