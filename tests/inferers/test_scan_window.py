"""The scan against SEMANTICS' text written out in NumPy, with a model in this process instead of a server."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_ring import LocalRing, position_dependent_model
from numpy.typing import NDArray

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.accumulator import Accumulator, ArgmaxFinalizer, ScoreFinalizer, accumulator_shape
from gpu_infer.inferers.scan_window import scan_window
from gpu_infer.inferers.windows import make_grid
from gpu_infer.progress import Progress


def by_the_text(volume: NDArray[np.float32], roi: tuple[int, int, int], channels: int) -> NDArray[np.float64]:
    """Mean scores as the text says: pad at the end, windows with repeats, plain average, crop."""
    size = volume.shape[1:]
    padded_size = [max(s, r) for s, r in zip(size, roi, strict=True)]
    padded = np.zeros((1, *padded_size), np.float32)
    padded[:, : size[0], : size[1], : size[2]] = volume
    sums = np.zeros((channels, *padded_size))
    counts = np.zeros(padded_size)
    starts = []
    for s, r in zip(padded_size, roi, strict=True):
        interval = r if r == s else max(1, int(max(r - 16, 0.75 * r)))
        starts.append([i * interval - max(i * interval + r - s, 0) for i in range(-(-s // interval))])
    for a in starts[0]:
        for b in starts[1]:
            for c in starts[2]:
                box = np.s_[:, a : a + roi[0], b : b + roi[1], c : c + roi[2]]
                sums[box] += position_dependent_model(padded[box][None])[0]
                counts[box[1:]] += 1
    return (sums / counts)[:, : size[0], : size[1], : size[2]]


@given(
    shape=st.tuples(*[st.integers(1, 26)] * 3),
    roi=st.tuples(*[st.integers(1, 20)] * 3),
    slots=st.integers(1, 4),
    batch=st.integers(1, 4),
    slab=st.booleans(),
)
def test_mean_scores(
    shape: tuple[int, int, int], roi: tuple[int, int, int], slots: int, batch: int, slab: bool
) -> None:
    if np.prod([-(-s // max(1, int(0.75 * r))) for s, r in zip(shape, roi, strict=True)]) > 400:
        return
    backend = CpuBackend()
    volume = np.random.default_rng(sum(shape)).random((1, *shape), dtype=np.float32)
    grid = make_grid(shape, roi)
    ring = LocalRing(position_dependent_model, slots, batch, 1, roi)
    finalizer = ScoreFinalizer(backend, grid, 3)
    accumulator = Accumulator(backend, grid, 3, finalizer, slab=slab)
    scores = scan_window(volume, grid, ring, accumulator, backend, batch=batch)  # type: ignore[arg-type]
    np.testing.assert_allclose(scores, by_the_text(volume, roi, 3), rtol=0, atol=2e-6)
    assert ring.most_in_flight <= slots
    assert ring.requests == -(-len(grid.distinct) // batch)


def test_labels_are_bit_identical_for_slots_batches_and_slab() -> None:
    backend = CpuBackend()
    shape, roi = (40, 33, 50), (17, 16, 20)
    volume = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    grid = make_grid(shape, roi)
    expected = by_the_text(volume, roi, 3).argmax(0)
    results = []
    for slots, batch, slab in [(1, 1, False), (1, 1, True), (2, 1, True), (5, 4, True), (2, 2, False)]:
        ring = LocalRing(position_dependent_model, slots, batch, 1, roi)
        accumulator = Accumulator(backend, grid, 3, ArgmaxFinalizer(backend, grid, 3), slab=slab)
        results.append(scan_window(volume, grid, ring, accumulator, backend, batch=batch))  # type: ignore[arg-type]
    for labels in results:
        np.testing.assert_array_equal(labels, results[0])
    assert np.mean(results[0] != expected) < 1e-4
    assert results[0].dtype == np.uint8


def test_progress_counts_windows() -> None:
    backend = CpuBackend()
    grid = make_grid((30, 16, 16), (16, 16, 16))
    events: list[Progress] = []
    accumulator = Accumulator(backend, grid, 3, ArgmaxFinalizer(backend, grid, 3))
    volume = np.zeros((1, 30, 16, 16), np.float32)
    ring = LocalRing(position_dependent_model, 2, 1, 1, (16, 16, 16))
    scan_window(volume, grid, ring, accumulator, backend, batch=1, progress=events.append)  # type: ignore[arg-type]
    assert events[0] == Progress("infer", 0, len(grid.distinct))
    assert events[-1] == Progress("infer", len(grid.distinct), len(grid.distinct))


@pytest.mark.parametrize("depth", [200, 400, 800])
def test_slab_does_not_grow_with_depth(depth: int) -> None:
    grid = make_grid((512, 512, depth), (320, 320, 64))
    assert accumulator_shape(grid, 105, slab=True) == (105, 512, 512, 64)
    assert accumulator_shape(grid, 105, slab=False) == (105, 512, 512, depth)
