"""The twins compute the same bits: every operation on simulated CUDA against the CPU backend, and which kernel ran."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from cudasim.compiler import Module
from cudasim.simulated import simulated_cupy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_infer.backends.base.backend import RollingSums
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.resampling import linear_table, nearest_table
from gpu_infer.backends.tables import AxisTable, ClampedAffine

CPU = CpuBackend()
LAYOUTS = list(product(permutations(range(3)), product((1, -1), repeat=3)))
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


@pytest.fixture(scope="module")
def gpu() -> Iterator[Any]:
    with simulated_cupy() as module:
        yield module.GpuBackend()


def noise(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> Any:
    return (np.random.default_rng(seed).normal(size=shape) * 700).astype(dtype)


def laid_out(array: Any, axes: tuple[int, ...], steps: tuple[int, ...]) -> Any:
    """The same [C, X, Y, Z] in another memory order: `axes` from slowest to fastest, backwards where −1."""
    stored = np.empty([array.shape[0], *(array.shape[1 + a] for a in axes)], array.dtype)
    view = stored.transpose(0, *(1 + axes.index(a) for a in range(3)))
    view = view[(slice(None), *(slice(None, None, s) for s in steps))]
    view[...] = array
    return view


def prepared(backend: Any, source: Any, target: Any, dtype: Any, layout: Any, align_corners: bool = True) -> Any:
    tables = tuple(linear_table(a, b, align_corners) for a, b in zip(source.shape[1:], target, strict=True))
    out = backend.upload(laid_out(np.zeros((source.shape[0], *target), dtype), *layout))
    before, after = ClampedAffine(0.37, -11.3, -400.0, 600.0), ClampedAffine(1 / 3, 0.1)
    backend.resample(backend.upload(source), out, tables, before, after)
    return backend.download(out)


@few
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    target=st.tuples(*[st.integers(1, 80)] * 3),
    stored=st.sampled_from(LAYOUTS),
    written=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from(["i1", "i2", ">i2", "u4", "f2", "f4", ">f8"]),
    half=st.booleans(),
    align_corners=st.booleans(),
)
def test_prepare_rounds_alike(
    gpu: Any, shape: Any, target: Any, stored: Any, written: Any, dtype: str, half: bool, align_corners: bool
) -> None:
    source = laid_out((noise((2, *shape)) % 120).astype(dtype), *stored)
    kind = np.float16 if half else np.float32
    ours = prepared(gpu, source, target, kind, written, align_corners)
    np.testing.assert_array_equal(ours, prepared(CPU, source, target, kind, written, align_corners))


def test_numbers_below_the_normal_range_are_kept(gpu: Any) -> None:
    source = np.linspace(-1e-38, 1e-38, 125, dtype=np.float32).reshape(1, 5, 5, 5)
    tables = tuple(linear_table(5, 9) for _ in range(3))
    results = []
    for backend in (CPU, gpu):
        out = backend.zeros((1, 9, 9, 9), np.float32)
        backend.resample(backend.upload(source), out, tables, ClampedAffine(), ClampedAffine(0.25))
        results.append(backend.download(out))
    np.testing.assert_array_equal(results[0], results[1])
    assert (np.abs(results[1]) < 1.1754944e-38).all()
    assert np.count_nonzero(results[1]) > 700


@pytest.mark.parametrize(
    ("factor", "kernel"),
    [
        (0.2, "prepare_tile"),
        (0.7, "prepare_tile"),
        (1.0, "turn_tile"),
        (1.2, "prepare_tile"),
        (1.7, "prepare_tile"),
        (2.2, "prepare_tile"),
        (4.0, "prepare_tile"),
        (9.0, "prepare_direct"),
    ],
)
def test_every_tile_size_and_the_fallback(gpu: Any, factor: float, kernel: str) -> None:
    """The source's fastest axis is X, the output's Z: the transposing kernel, while a tile fits."""
    target = (33, 4, 70)
    shape = tuple(round(n * factor) for n in target)
    source = laid_out(noise((1, *shape), np.int16), (2, 1, 0), (1, 1, 1))
    plain = ((0, 1, 2), (1, 1, 1))
    Module.launches.clear()
    ours = prepared(gpu, source, target, np.float32, plain)
    assert Module.launches == [f"{kernel}_i2_f4"]
    np.testing.assert_array_equal(ours, prepared(CPU, source, target, np.float32, plain))


@pytest.mark.parametrize("target", [(41, 10, 77), (37, 7, 71), (20, 3, 33)])
@pytest.mark.parametrize("dtype", ["i2", ">i2", "f4"])
@pytest.mark.parametrize("shift", [0.0, -0.0, 1024.5])
def test_a_sum_alone_before_resampling_rounds_alike(gpu: Any, target: Any, dtype: str, shift: float) -> None:
    """The transposing kernels' short way through `before`, zeros' signs included; several slices per block."""
    source = laid_out(noise((2, 37, 7, 71)).astype(dtype), (2, 1, 0), (1, -1, 1))
    source[:, ::3, :, ::2] = -0.0
    tables = tuple(linear_table(a, b) for a, b in zip(source.shape[1:], target, strict=True))
    results = []
    for backend in (CPU, gpu):
        Module.launches.clear()
        out = backend.zeros((2, *target), np.float32)
        backend.resample(backend.upload(source), out, tables, ClampedAffine(1.0, shift), ClampedAffine())
        results.append(backend.download(out).tobytes())
    kernel = "turn_tile" if target == (37, 7, 71) else "prepare_tile"
    assert Module.launches[-1] == f"{kernel}_{dtype.strip('>')}_f4"
    assert results[0] == results[1]


def test_one_fastest_axis_takes_the_direct_kernel(gpu: Any) -> None:
    plain = ((0, 1, 2), (1, 1, 1))
    Module.launches.clear()
    prepared(gpu, noise((1, 9, 9, 9)), (5, 5, 5), np.float32, plain)
    prepared(gpu, noise((1, 9, 9, 9)), (9, 9, 9), np.float32, plain)
    assert Module.launches == ["prepare_direct_f4_f4", "turn_rows_f4_f4"]


@few
@given(
    shape=st.tuples(*[st.integers(1, 80)] * 3),
    stored=st.sampled_from(LAYOUTS),
    written=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from(["i1", "i2", ">i2", "u4", "f2", "f4", ">f8"]),
    half=st.booleans(),
    before=st.sampled_from([ClampedAffine(), ClampedAffine(1.0, -0.0), ClampedAffine(0.37, -11.3, -400.0, 600.0)]),
)
def test_copies_round_alike(
    gpu: Any, shape: Any, stored: Any, written: Any, dtype: str, half: bool, before: ClampedAffine
) -> None:
    source = laid_out((noise((2, *shape)) % 120).astype(dtype), *stored)
    results = []
    for backend in (CPU, gpu):
        out = backend.upload(laid_out(np.zeros((2, *shape), np.float16 if half else np.float32), *written))
        Module.launches.clear()
        backend.resample(backend.upload(source), out, None, before, ClampedAffine(1 / 3, 0.1, -30.0, 150.0))
        results.append(backend.download(out))
    assert all(name.startswith("turn_") for name in Module.launches)
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n", [31, 70])
def test_tables_of_any_weights_round_alike(gpu: Any, share: float, n: int) -> None:
    """Random neighbours, a share of them without weight; every value of every axis is infinite, NaN or -0 somewhere."""
    rng = np.random.default_rng(n)
    source = noise((2, 90, 6, 61))
    source.ravel()[rng.integers(0, source.size, source.size // 20)] = np.inf
    source.ravel()[rng.integers(0, source.size, source.size // 20)] = np.nan
    source.ravel()[rng.integers(0, source.size, source.size // 5)] = -0.0
    source = laid_out(source, (2, 1, 0), (-1, 1, 1))

    def table(n_in: int, n_out: int) -> AxisTable:
        weight = rng.random(n_out, np.float32) * (rng.random(n_out) >= share).astype(np.float32)
        lower = np.sort(rng.integers(0, n_in, n_out)).astype(np.int32)
        return AxisTable(lower, rng.integers(np.maximum(lower - 2, 0), lower + 1).astype(np.int32), weight)

    tables = (table(90, n), table(6, 9), table(61, n + 40))
    results = []
    for backend in (CPU, gpu):
        Module.launches.clear()
        out = backend.zeros((2, n, 9, n + 40), np.float32)
        backend.resample(backend.upload(source), out, tables, ClampedAffine(1.0, -0.0), ClampedAffine(1.0, -0.0))
        results.append(backend.download(out))
    assert Module.launches == ["prepare_tile_f4_f4"]
    np.testing.assert_array_equal(results[0], results[1])
    signs = [np.signbit(np.where(np.isnan(values), 0.0, values)) for values in results]
    np.testing.assert_array_equal(signs[0], signs[1])
    assert np.isinf(results[1]).any()


def test_tables_that_run_backwards(gpu: Any) -> None:
    """A tile's span comes from the least and the greatest index, wherever in the tile they stand."""
    n = 70
    index = np.arange(n, dtype=np.int32)[::-1].copy()
    back = AxisTable(index, np.maximum(index - 1, 0), np.full(n, 0.25, np.float32))
    source = laid_out(noise((1, n, 2, n), np.int16), (2, 1, 0), (1, 1, 1))
    straight = linear_table(2, 2)
    results = []
    for backend in (CPU, gpu):
        out = backend.zeros((1, n, 2, n), np.float32)
        backend.resample(backend.upload(source), out, (back, straight, back), ClampedAffine(), ClampedAffine())
        results.append(backend.download(out))
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize(
    ("stored", "factor", "kernel"),
    [
        ((0, 1, 2), 0.2, "tile"),
        ((0, 1, 2), 0.7, "tile"),
        ((0, 1, 2), 1.9, "tile"),
        ((0, 1, 2), 2.4, "tile"),
        ((0, 1, 2), 3.2, "direct"),
        ((2, 1, 0), 0.7, "direct"),
    ],
)
@pytest.mark.parametrize("align_corners", [True, False])
def test_restore_argmax_rounds_alike(
    gpu: Any, stored: tuple[int, ...], factor: float, kernel: str, align_corners: bool
) -> None:
    """Labels X fastest: scores with Z fastest are turned through shared memory while a plane fits."""
    target = (70, 9, 67)
    shape = tuple(round(n * factor) for n in target)
    scores = laid_out(np.round(noise((3, *shape)) / 700, 1), stored, (1, 1, 1))
    tables = tuple(linear_table(a, b, align_corners) for a, b in zip(shape, target, strict=True))
    results = []
    for backend in (CPU, gpu):
        labels = backend.zeros(target[::-1], np.uint8).transpose(2, 1, 0)[::-1]
        Module.launches.clear()
        backend.restore_argmax(backend.upload(scores), tables, labels)
        results.append(backend.download(labels))
    assert Module.launches == [f"restore_argmax_{kernel}_u1"]
    np.testing.assert_array_equal(results[1], results[0])
    assert np.unique(results[1]).size == 3


WIDENINGS = [
    (a, b)
    for a in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    for b in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    if np.can_cast(a, b, "safe")
]


@pytest.mark.parametrize(("stored", "written"), WIDENINGS)
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
def test_integers_are_copied_into_every_wider_type(gpu: Any, stored: str, written: str, axes: tuple[int, ...]) -> None:
    limits = np.iinfo(stored)
    plain = np.random.default_rng(5).integers(limits.min, limits.max, (1, 9, 8, 70), stored, endpoint=True)
    swapped = laid_out(plain.astype(np.dtype(stored).newbyteorder()), axes, (1, -1, 1))
    tables = (nearest_table(9, 13), nearest_table(8, 5), nearest_table(70, 66))
    out = gpu.zeros((1, 13, 5, 66), written)
    gpu.resample(gpu.upload(swapped), out, tables, ClampedAffine(), ClampedAffine())
    picked = plain[:, tables[0].lower][:, :, tables[1].lower][:, :, :, tables[2].lower]
    np.testing.assert_array_equal(gpu.download(out), picked.astype(written))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_blend_and_both_finishes_round_alike(gpu: Any, weighted: bool, dtype: Any) -> None:
    shape, roi, heights = (20, 17, 35), (8, 9, 33), (8, 17, 35)
    rng = np.random.default_rng(2)
    starts = [(0, 0, 0), (0, 8, 2), (0, 12, -4), (0, 8, 2)]
    slot = rng.normal(size=(4, 5, *roi)).astype(dtype)
    importance = rng.random(roi, dtype=np.float32)
    counts = [rng.random(n, dtype=np.float32) + 1 for n in shape]
    results = []
    for backend in (CPU, gpu):
        weights = backend.zeros(heights, np.float32) if weighted else None
        ring = RollingSums(backend.zeros((5, *heights), np.float32), shape, weights)
        scores = backend.zeros((5, *shape), np.float32)
        labels = backend.zeros(shape, np.uint8)
        for low in (0, 8):
            moved = [(low + x, y, z) for x, y, z in starts]
            given = backend.upload(importance) if weighted else None
            backend.blend(backend.upload(slot), moved, [1, 2, 1, 3], given, ring)
            with np.errstate(invalid="ignore"):
                backend.finish_scores(ring, (low, 0, 0), (low + 5, 17, 35), counts, scores)
            backend.finish_argmax(ring, (low + 5, 0, 0), (low + 8, 17, 35), labels)
            assert not backend.download(ring.sums).any()
            assert weights is None or not backend.download(weights).any()
        results.append((backend.download(scores), backend.download(labels)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("count", [1, 32, 33, 70])
def test_more_windows_than_one_launch_carries(gpu: Any, count: int) -> None:
    volume = noise((2, 12, 11, 10))
    starts = [(n % 9 - 2, n % 7 - 1, n % 5) for n in range(count)]
    results = []
    for backend in (CPU, gpu):
        slot = backend.zeros((count, 2, 5, 4, 6), np.float16)
        backend.gather(backend.upload(volume), starts, slot, 2.5)
        results.append(backend.download(slot))
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize(("axes", "steps"), LAYOUTS)
def test_orientations_there_and_back(gpu: Any, axes: tuple[int, ...], steps: tuple[int, ...]) -> None:
    """Stored voxels → model grid → labels in the file's own axis order, as in a run of the operator."""
    stored = noise((1, 11, 9, 14), np.int16, seed=4)
    target = (8, 12, 10)
    there = tuple(linear_table(a, b) for a, b in zip((11, 9, 14), target, strict=True))
    back = tuple(nearest_table(a, b) for a, b in zip(target, (11, 9, 14), strict=True))
    results = []
    for backend in (CPU, gpu):
        grid = backend.empty((1, *target), np.float32)
        backend.resample(backend.upload(laid_out(stored, axes, steps)), grid, there, ClampedAffine(), ClampedAffine())
        scores = backend.empty((2, *target), np.float32)
        for c, function in enumerate((ClampedAffine(0.0, 30.0), ClampedAffine())):
            backend.resample(grid, scores[c : c + 1], None, function, ClampedAffine())
        labels = backend.zeros(target, np.uint8)
        backend.argmax(scores, labels)
        out = backend.upload(laid_out(np.zeros((1, 11, 9, 14), np.uint8), axes, steps))
        backend.resample_labels(labels, back, out[0])
        results.append(backend.download(out))
    np.testing.assert_array_equal(results[0], results[1])
    assert 0 < results[1].mean() < 1
