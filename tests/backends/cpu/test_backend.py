"""What is particular to the CPU backend: compilation, float16, memory layouts, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest

from gpu_infer.backends.base.backend import RollingSums
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.grid_windows import GridAdder, GridReader
from gpu_infer.backends.cpu.kernels import finish, grid_windows, label_statistics, means, windows
from gpu_infer.backends.cpu.kernels import scores as score_kernels
from gpu_infer.backends.cpu.kernels.components import replace_others
from gpu_infer.backends.cpu.kernels.joining import find_components
from gpu_infer.backends.cpu.kernels.labels import count_labels, look_up, repaint
from gpu_infer.backends.cpu.kernels.pick import pick
from gpu_infer.backends.cpu.kernels.prepare import resample
from gpu_infer.backends.cpu.kernels.restore_argmax import restore_argmax
from gpu_infer.backends.cpu.kernels.strided import frozen, native, reading, writing
from gpu_infer.backends.cpu.means import CoveredAxis
from gpu_infer.backends.resampling import linear_table, nearest_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.types import SplitSums, SumsPart

_KERNELS = [
    resample,
    pick,
    windows.gather_windows_serial,
    windows.add_windows_serial,
    windows.add_windows_to_parts_serial,
    grid_windows.read_windows_serial,
    grid_windows.add_to_grid_serial,
    finish.argmax_box,
    finish.argmax_box_and_clear,
    finish.mean_box_and_clear,
    means.divide_by_counts,
    means.divide_by_weights,
    count_labels,
    look_up,
    repaint,
    find_components,
    replace_others,
    label_statistics.label_extents,
    label_statistics.add_values,
    label_statistics.add_sums,
    label_statistics.add_digits,
    restore_argmax,
    score_kernels.softmax,
    score_kernels.sigmoid,
    score_kernels.limit,
    score_kernels.count_improbable,
    score_kernels.entropy,
]
_IDENTITY = ClampedAffine()


def _every_operation(backend: CpuBackend, shape: tuple[int, int, int], layout: Any) -> None:
    """All operations once on arrays of `shape`, each passed through `layout` (a view with the same shape)."""
    x, y, z = shape
    target = (y + 1, z + 2, x)
    tables = tuple(linear_table(a, b) for a, b in zip(shape, target, strict=True))
    back = tuple(nearest_table(b, a) for a, b in zip(shape, target, strict=True))
    linear_back = tuple(linear_table(b, a) for a, b in zip(shape, target, strict=True))
    source = layout(np.ones((1, *shape), np.int16))
    source.flags.writeable = False
    volume = layout(np.empty((1, *target), np.float32))
    backend.resample(source, volume, tables, _IDENTITY, ClampedAffine(0.5))
    slot = layout(np.zeros((1, 1, 2, 3, 4), np.float32))
    backend.gather(volume, [(-1, 0, 1)], slot, 0.0)
    ring = RollingSums(layout(np.zeros((1, *target), np.float32)), target)
    backend.blend(slot, [(-1, 0, 1)], [2], None, ring)
    backend.blend(slot, [(0, 0, 0)], [1], layout(np.ones((2, 3, 4), np.float32)), ring)
    split = SplitSums(target, 0, np.zeros(ring.sums.size, np.float32), None, [])
    part = RollingSums(split.sums.reshape(ring.sums.shape), target)
    for importance in (None, layout(np.ones((2, 3, 4), np.float32))):
        backend.blend_split(slot, [(-1, 0, 1)], [1], importance, split._replace(parts=[SumsPart(0, target[0], part)]))
    start = np.zeros((1, 3), np.int64)
    GridReader(volume[None], start, (1, 1, 1)).read(0, 0, np.empty((1, 1, 1, 1, 1), np.float32))
    for weights in (None, np.ones((2, 3, 4), np.float32)):
        GridAdder(np.zeros((1, 1, *target), np.float32), start, np.ones(1), (2, 3, 4)).add(
            0, 0, np.ones((1, 1, 2, 3, 4), np.float32), weights
        )
    labels = layout(np.zeros(target, np.uint8))
    scores = layout(np.zeros((1, *target), np.float32))
    counts = [np.ones(n, np.float32) for n in target]
    backend.finish_scores(ring, (0, 0, 0), (1, 1, 1), counts, scores)
    backend.finish_masks(ring, (0, 0, 0), (1, 1, 1), counts, np.zeros(1), layout(np.zeros((1, *target), np.uint8)))
    backend.finish_argmax(ring, (0, 0, 0), target, labels)
    backend.argmax(scores, labels)
    backend.resample_labels(labels, back, layout(np.zeros(shape, np.uint8)))
    backend.restore_argmax(scores, linear_back, layout(np.zeros(shape, np.uint8)))
    backend.histogram(labels)
    backend.count_bins(scores, np.array([0, 1, 3], np.float32))
    backend.map_values(scores, layout(np.zeros((1, *target), np.float32)), np.arange(3.0), np.ones(3))
    for activation in ("softmax", "sigmoid", "none"):
        backend.probabilities(scores, activation)
    backend.improbable(scores, 1e-3)
    backend.entropy(scores, False, layout(np.zeros(target, np.float32)))
    labels[...] = 1
    for dtype in (np.int16, np.float32, np.float64):
        backend.label_statistics(labels, layout(np.zeros(target, dtype)), [1])
    backend.largest_components(labels, 1, None, layout(np.zeros(target, np.uint8)))
    backend.repaint(layout(np.zeros(target, np.uint8)), 1, labels)
    backend.lookup(labels[None], np.ones(256, np.uint8), layout(np.zeros((1, *target), np.uint8)))
    sums = np.ones((1, *target), np.float32)
    backend.divide_by_counts(sums, [2 * count for count in counts])
    axes = [CoveredAxis(np.zeros(1, np.int64), np.ones(1, np.int64), np.arange(n)) for n in target]
    backend.divide_by_weights(sums, layout(np.ones(target, np.float32)), axes, (0, 1, 2))


def _backwards(array: Any) -> Any:
    return array[..., ::-1]


def _fortran(array: Any) -> Any:
    return np.asfortranarray(array)


def _gapped(array: Any) -> Any:
    spread = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    return spread[..., ::2]


def test_a_new_shape_or_layout_compiles_nothing() -> None:
    backend = CpuBackend()
    _every_operation(backend, (5, 6, 7), np.ascontiguousarray)
    compiled = [len(kernel.signatures) for kernel in _KERNELS]
    for shape in [(5, 6, 7), (1, 1, 1), (9, 2, 16), (33, 4, 1)]:
        for layout in (np.ascontiguousarray, _backwards, _fortran, _gapped):
            _every_operation(backend, shape, layout)
    assert [len(kernel.signatures) for kernel in _KERNELS] == compiled


def _dtypes(types: Any) -> Iterator[str]:
    """The dtypes of all arrays among a signature's types, those inside tuples included."""
    for kind in types:
        if isinstance(kind, numba.types.BaseTuple):
            yield from _dtypes(kind)
        elif isinstance(kind, numba.types.Array):
            yield str(kind.dtype)


def test_each_dtype_pair_is_compiled_once() -> None:
    for kernel in _KERNELS:
        pairs = [tuple(_dtypes(signature)) for signature in kernel.signatures]
        assert len(pairs) == len(set(pairs))


def test_every_float16_widens_exactly() -> None:
    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(1, 64, 32, 32)
    slot = np.zeros((1, 1, 64, 32, 32), np.float32)
    CpuBackend().gather(half, [(0, 0, 0)], slot, 0.0)
    np.testing.assert_array_equal(slot[0], half.astype(np.float32))


def test_float32_narrows_as_numpy_does() -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
    halves = np.arange(1 << 15, dtype=np.uint16).view(np.float16).astype(np.float32)
    # exact ties between two neighbours: the bit below the last kept one, alone
    ties = (halves.view(np.uint32) | np.uint32(1 << 12)).view(np.float32)
    single = np.concatenate([bits.view(np.float32), ties, -ties]).reshape(1, 64, 64, 32)
    slot = np.zeros((1, 1, 64, 64, 32), np.float16)
    CpuBackend().gather(single, [(0, 0, 0)], slot, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(slot[0], single.astype(np.float16))


def test_big_endian_arrays_become_native_with_their_layout() -> None:
    big = np.asfortranarray(np.arange(24, dtype=">i2").reshape(2, 3, 4))
    got = CpuBackend().upload(big)
    assert got.dtype == np.int16
    assert got.dtype.isnative
    assert got.strides == big.strides
    np.testing.assert_array_equal(got, big)
    little = np.zeros(3, "<i2")
    assert native(little) is little


@pytest.mark.parametrize("dtype", [">i2", ">f8", "f2"])
def test_prepare_takes_what_was_never_uploaded(dtype: str) -> None:
    source = np.arange(60).astype(dtype).reshape(1, 3, 4, 5)
    out = np.empty((1, 3, 4, 5), np.float32)
    CpuBackend().resample(source, out, None, _IDENTITY, _IDENTITY)
    np.testing.assert_array_equal(out, source.astype(np.float32))


def test_unaligned_sources_are_copied_and_unaligned_outputs_refused() -> None:
    raw = np.zeros(1 + 4 * 60, np.uint8)
    view = raw[1:].view(np.float32).reshape(1, 3, 4, 5)
    view[...] = np.arange(60).reshape(1, 3, 4, 5)
    out = np.empty((1, 3, 4, 5), np.float32)
    CpuBackend().resample(view, out, None, _IDENTITY, _IDENTITY)
    np.testing.assert_array_equal(out, view)
    with pytest.raises(ValueError, match="must be writable, aligned"):
        CpuBackend().resample(out, view, None, _IDENTITY, _IDENTITY)


def test_read_only_outputs_are_refused() -> None:
    out = frozen(np.zeros((1, 3, 4, 5), np.float32))
    with pytest.raises(ValueError, match="must be writable"):
        CpuBackend().resample(np.zeros((1, 3, 4, 5), np.int16), out, None, _IDENTITY, _IDENTITY)


def test_a_flat_view_addresses_every_element() -> None:
    base = np.arange(5 * 6 * 7, dtype=np.int32).reshape(5, 6, 7)
    for view in (base, base[::-1, 1::2, ::-3], base.transpose(2, 0, 1)[1:, ::-1], np.broadcast_to(base[:1], (3, 6, 7))):
        flat = reading(view)
        assert not flat.data.flags.writeable
        for index in np.ndindex(*view.shape):
            at = flat.offset + sum(i * s for i, s in zip(index, flat.strides, strict=True))
            assert flat.data[at] == view[index]
    flat = writing(base[::-1, :, ::2])
    flat.data[flat.offset] = -1
    assert base[4, 0, 0] == -1


def test_threads_may_call_at_the_same_time() -> None:
    backend = CpuBackend()
    labels = np.random.default_rng(0).integers(0, 9, (64, 64, 64)).astype(np.uint8)
    expected = np.bincount(labels.ravel())
    wrong: list[int] = []

    def count() -> None:
        wrong.extend(i for i in range(30) if not np.array_equal(backend.histogram(labels), expected))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_empty_histogram_has_no_entries() -> None:
    assert CpuBackend().histogram(np.zeros((0, 3, 3), np.uint8)).tolist() == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_half_precision_of_either_byte_order(order: str) -> None:
    backend = CpuBackend()
    values = np.linspace(-3, 5, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(f"{order}f2")
    out = np.empty(values.shape, np.float32)
    backend.resample(values, out, None, ClampedAffine(2.0, 1.0), ClampedAffine())
    np.testing.assert_array_equal(out, values.astype(np.float32) * np.float32(2) + np.float32(1))
    count, mean, _ = backend.masked_moments(values, False)
    assert (count, mean) == (values.size, pytest.approx(values.astype(np.float64).mean()))
    labels = np.empty(values.shape[1:], np.uint8)
    backend.argmax(values, labels)
    np.testing.assert_array_equal(labels, values.astype(np.float32).argmax(axis=0))
