"""What gather and blend have to do on every backend, against plain NumPy loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from windows_oracle import blended, full_ring, gathered, random, unrolled

from gpu_infer.backends.base.backend import Backend, RollingSums

few = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


class WindowsContract:
    @pytest.mark.parametrize("volume_dtype", [np.float32, np.float16])
    @pytest.mark.parametrize("slot_dtype", [np.float32, np.float16])
    @pytest.mark.parametrize("fill", [-1.5, None])
    def test_gather_hanging_over_both_sides(
        self, backend: Backend, volume_dtype: Any, slot_dtype: Any, fill: float | None
    ) -> None:
        volume = random((2, 7, 8, 9), volume_dtype)
        roi = (4, 10, 5)
        starts = [(0, 0, 0), (-2, -1, -3), (5, 3, 7), (3, -9, 2), (7, 0, 0), (-4, 0, 0), (100, 0, -50)]
        slot = backend.zeros((len(starts) + 1, 2, *roi), slot_dtype)
        slot[-1] = 5.0
        backend.gather(backend.upload(volume), starts, slot, fill)
        got = backend.download(slot)
        for n, start in enumerate(starts):
            np.testing.assert_array_equal(got[n], gathered(volume, start, roi, fill).astype(slot_dtype))
        assert (got[-1] == 5.0).all()

    @few
    @given(
        shape=st.tuples(*[st.integers(1, 12)] * 3),
        roi=st.tuples(*[st.integers(1, 9)] * 3),
        start=st.tuples(*[st.integers(-12, 14)] * 3),
        fill=st.sampled_from([3.0, None]),
    )
    def test_gather_anywhere(self, backend: Backend, shape: Any, roi: Any, start: Any, fill: float | None) -> None:
        volume = random((1, *shape))
        slot = backend.zeros((1, 1, *roi), np.float32)
        backend.gather(backend.upload(volume), [start], slot, fill)
        np.testing.assert_array_equal(backend.download(slot)[0], gathered(volume, start, roi, fill))

    @pytest.mark.parametrize("fill", [0.0, None])
    def test_gather_between_strided_views(self, backend: Backend, fill: float | None) -> None:
        volume = random((2, 9, 8, 7)).transpose(0, 3, 1, 2)[:, ::-1, :, ::2]
        stored = backend.zeros((1, 5, 4, 3, 2), np.float32)
        backend.gather(backend.upload(volume), [(-1, 2, 1)], stored.transpose(0, 4, 3, 2, 1), fill)
        got = backend.download(stored).transpose(0, 4, 3, 2, 1)
        np.testing.assert_array_equal(got[0], gathered(volume, (-1, 2, 1), (3, 4, 5), fill))

    def test_an_empty_volume_has_no_edge(self, backend: Backend) -> None:
        slot = backend.zeros((1, 1, 2, 2, 2), np.float32)
        with pytest.raises(ValueError, match=r"repeats the edge .* an empty one of shape \(1, 0, 3, 3\)"):
            backend.gather(backend.zeros((1, 0, 3, 3), np.float32), [(0, 0, 0)], slot, None)

    @pytest.mark.parametrize("across", [0, 1, 2])
    def test_slices_of_tensors_with_other_axes(self, backend: Backend, across: int) -> None:
        """Slots [N, C, …] whose two axes are exchanged, seen as windows of size 1 across."""
        volume, order = random((2, 5, 6, 7)), [0, 1, *np.insert([3, 2], across, 4).tolist()]
        roi = [4, 8, 5]
        roi[across] = 1
        first, second = (n for axis, n in enumerate(roi) if axis != across)
        slot, scores = backend.zeros((3, 2, second, first), np.float32), random((3, 2, second, first), seed=1)
        starts = [(0, 0, 0), (2, -1, 3), (4, 5, 1)]
        backend.gather(backend.upload(volume), starts, slot[..., None].transpose(order), 0.5)
        got = backend.download(slot)[..., None].transpose(order)
        for n, start in enumerate(starts):
            np.testing.assert_array_equal(got[n], gathered(volume, start, tuple(roi), 0.5))
        rolling = full_ring(backend, 2, (5, 6, 7))
        windows = scores[..., None].transpose(order)
        uploaded = backend.upload(scores)[..., None].transpose(order)
        backend.blend(uploaded, starts, [1, 2, 1], None, rolling)
        np.testing.assert_array_equal(unrolled(backend, rolling), blended((5, 6, 7), windows, starts, [1, 2, 1]))

    def test_gather_into_host_memory(self, backend: Backend) -> None:
        volume = random((1, 6, 6, 6))
        slot = np.zeros((1, 1, 4, 4, 4), np.float32)
        backend.gather(backend.upload(volume), [(1, 2, 4)], slot, 0.0)
        backend.fence()
        np.testing.assert_array_equal(slot[0], gathered(volume, (1, 2, 4), (4, 4, 4), 0.0))

    @pytest.mark.parametrize("dtype", [np.float32, np.float16])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_blend_clips_weighs_and_repeats(self, backend: Backend, dtype: Any, weighted: bool) -> None:
        shape, roi = (6, 7, 5), (4, 3, 6)
        starts = [(0, 0, 0), (-2, 5, 0), (2, 4, -1), (2, 4, -1), (3, 1, 2), (9, 0, 0)]
        repeats = [1, 2, 1, 3, 1, 1]
        slot = random((7, 3, *roi), dtype)
        importance = np.abs(random(roi, seed=1)) if weighted else None
        ring = full_ring(backend, 3, shape)
        device_importance = None if importance is None else backend.upload(importance)
        backend.blend(backend.upload(slot), starts, repeats, device_importance, ring)
        expected = blended(shape, slot, starts, repeats, importance)
        # a backend may fuse multiply and add, which rounds once less; the CPU's error is 0
        np.testing.assert_allclose(backend.download(ring.sums), expected, rtol=0, atol=4e-6)

    @pytest.mark.parametrize("shape", [(0, 4, 4), (4, 0, 4), (4, 4, 0)])
    def test_blend_into_an_empty_grid(self, backend: Backend, shape: Any) -> None:
        ring = full_ring(backend, 1, shape)
        backend.blend(backend.upload(random((1, 1, 2, 2, 2))), [(-1, -1, -1)], [1], None, ring)
        assert ring.sums.shape == (1, *shape)

    @few
    @given(
        starts=st.lists(st.tuples(*[st.integers(-4, 9)] * 3), min_size=1, max_size=6),
        roi=st.tuples(*[st.integers(1, 6)] * 3),
    )
    def test_blend_of_integers_is_exact(self, backend: Backend, starts: Any, roi: Any) -> None:
        slot = np.random.default_rng(0).integers(-9, 9, (len(starts), 2, *roi)).astype(np.float32)
        repeats = [1 + n % 3 for n in range(len(starts))]
        ring = full_ring(backend, 2, (8, 6, 7))
        backend.blend(backend.upload(slot), starts, repeats, None, ring)
        np.testing.assert_array_equal(backend.download(ring.sums), blended((8, 6, 7), slot, starts, repeats))

    def test_sums_do_not_depend_on_batches(self, backend: Backend) -> None:
        shape, roi = (9, 9, 9), (6, 6, 6)
        starts = [(i, j, k) for i in (0, 2, 3) for j in (0, 3) for k in (0, 1, 3)]
        slot = random((len(starts), 2, *roi))
        importance = np.abs(random(roi, seed=1))
        results = []
        for batch in (1, 4, 5, len(starts)):
            ring = full_ring(backend, 2, shape)
            for first in range(0, len(starts), batch):
                part = starts[first : first + batch]
                values = backend.upload(slot[first : first + batch])
                backend.blend(values, part, [1] * len(part), backend.upload(importance), ring)
            results.append(backend.download(ring.sums).copy())
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_the_ring_wraps_around(self, backend: Backend, axis: int) -> None:
        shape, roi = (11, 12, 13), (4, 4, 4)
        heights = list(shape)
        heights[axis] = 5
        for row in (0, 1, 3, 6, 8, shape[axis] - 2):
            start = [2, 3, 1]
            start[axis] = row
            slot = random((1, 2, *roi), seed=row)
            ring = RollingSums(backend.zeros((2, *heights), np.float32), shape)
            backend.blend(backend.upload(slot), [tuple(start)], [1], None, ring)
            expected = blended(shape, slot, [tuple(start)], [1])
            rows = np.arange(row, min(row + 4, shape[axis]))
            np.testing.assert_array_equal(unrolled(backend, ring).take(rows, 1 + axis), expected.take(rows, 1 + axis))
            assert np.count_nonzero(backend.download(ring.sums)) == np.count_nonzero(expected)

    def test_mistakes_with_windows_are_refused(self, backend: Backend) -> None:
        volume = backend.zeros((1, 8, 8, 8), np.float32)
        slot = backend.zeros((1, 1, 4, 4, 4), np.float32)
        ring = RollingSums(backend.zeros((1, 3, 8, 8), np.float32), (8, 8, 8))
        labels = backend.zeros((8, 8, 8), np.uint8)
        with pytest.raises(ValueError, match="2 windows do not fit a slot of 1"):
            backend.gather(volume, [(0, 0, 0), (1, 1, 1)], slot, 0.0)
        with pytest.raises(ValueError, match="found float32 and uint8"):
            backend.gather(volume, [(0, 0, 0)], backend.zeros(slot.shape, np.uint8), 0.0)
        with pytest.raises(ValueError, match="4 rows on axis 0 does not fit a ring of 3"):
            backend.blend(slot, [(0, 0, 0)], [1], None, ring)
        with pytest.raises(ValueError, match="importance must be float32"):
            backend.blend(slot, [(0, 0, 0)], [1], backend.zeros((4, 4, 5), np.float32), ring)
        with pytest.raises(ValueError, match=r"weights must be float32 \(3, 8, 8\)"):
            backend.blend(slot[:, :, :2], [(0, 0, 0)], [1], None, RollingSums(ring.sums, (8, 8, 8), weights=labels))
        with pytest.raises(ValueError, match="one repeat per window, found 2 for 1"):
            backend.blend(slot, [(0, 0, 0)], [1, 1], None, ring)
        with pytest.raises(ValueError, match="not inside the grid"):
            backend.finish_argmax(ring, (0, 0, 0), (9, 8, 8), labels)
        with pytest.raises(ValueError, match="8 rows on axis 0 does not fit a ring of 3"):
            backend.finish_argmax(ring, (0, 0, 0), (8, 8, 8), labels)
        with pytest.raises(ValueError, match=r"grid's shape \(8, 8, 8\), found \(8, 8, 7\)"):
            backend.finish_argmax(ring, (0, 0, 0), (1, 8, 8), labels[:, :, :7])
        with pytest.raises(ValueError, match="scores must be float32"):
            backend.finish_scores(ring, (0, 0, 0), (1, 8, 8), [np.ones(8, np.float32)] * 3, slot[0])
