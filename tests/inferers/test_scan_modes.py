"""Scans of the modes `monai` and `nnunet` against sums over padded volumes written out in NumPy."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from local_ring import LocalRing, position_dependent_model
from numpy.typing import NDArray

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.accumulator import Accumulator, ArgmaxFinalizer, MaskFinalizer, ScoreFinalizer
from gpu_infer.inferers.modes import WindowMode, window_mode
from gpu_infer.inferers.scan_window import scan_window
from gpu_infer.inferers.windows import make_grid

CASES = [
    ("monai", {"overlap": (0.5, 0.25, 0.6)}),
    ("monai", {"blend": "gaussian", "cval": -1.5}),
    ("monai", {"blend": "gaussian", "overlap": (0.5,) * 3, "sigma_scale": (0.2, 0.3, 0.1)}),
    ("monai", {"padding_mode": "replicate", "overlap": (0.3,) * 3}),
    ("nnunet", {}),
    ("nnunet", {"blend": "constant", "mirror_axes": (1,)}),
    ("nnunet", {"mirror_axes": (0, 1, 2), "step_size": 0.7}),
    ("nnunet", {"mirror_axes": (2, 0), "cval": 2.0}),
]


def by_hand(volume: NDArray[np.float32], roi: tuple[int, int, int], mode: WindowMode) -> NDArray[np.float64]:
    """Pad both sides, weigh and mirror every window, divide by the weights, crop; all in float64."""
    size = volume.shape[1:]
    before = [max(r - s, 0) // 2 for s, r in zip(size, roi, strict=True)]
    padded_size = [max(s, r) for s, r in zip(size, roi, strict=True)]
    inside = tuple(slice(b, b + s) for b, s in zip(before, size, strict=True))
    after = [n - s - b for n, s, b in zip(padded_size, size, before, strict=True)]
    around = ((0, 0), *zip(before, after, strict=True))
    if mode.padding_mode == "replicate":
        padded = np.pad(volume, around, mode="edge")
    else:
        padded = np.pad(volume, around, constant_values=mode.cval)
    importance = mode.importance(roi)
    weights = np.ones(roi) if importance is None else importance.astype(float)
    sums, total = np.zeros((3, *padded_size)), np.zeros(padded_size)
    starts = [mode.starts(axis, n, r) for axis, (n, r) in enumerate(zip(size, roi, strict=True))]
    flips = [c for n in range(len(mode.mirror_axes) + 1) for c in combinations(mode.mirror_axes, n)]
    for start in product(*starts):
        box = tuple(slice(s + b, s + b + r) for s, b, r in zip(start, before, roi, strict=True))
        window = padded[(slice(None), *box)]
        seen = [
            np.flip(position_dependent_model(np.flip(window, [1 + f for f in flip])[None])[0], [1 + f for f in flip])
            for flip in flips
        ]
        sums[(slice(None), *box)] += np.mean(seen, axis=0, dtype=float) * weights
        total[box] += weights
    return (sums / total)[(slice(None), *inside)]


def scan(
    volume: NDArray[np.float32],
    roi: tuple[int, int, int],
    mode: WindowMode,
    finalizer: Any,
    *,
    slots: int,
    batch: int,
    slab: bool,
    slice_axis: int | None = None,
) -> NDArray[Any]:
    backend = CpuBackend()
    grid = make_grid(volume.shape[1:], roi, mode, slice_axis)  # type: ignore[arg-type]
    ring = LocalRing(position_dependent_model, slots, batch, 1, roi)
    accumulator = Accumulator(backend, grid, 3, finalizer(backend, grid, 3), slab=slab, importance=mode.importance(roi))
    result = scan_window(volume, grid, ring, accumulator, backend, batch=batch, fill=mode.fill)  # type: ignore[arg-type]
    assert ring.requests == -(-len(grid.visits) // batch)
    return result  # type: ignore[no-any-return]


@pytest.mark.parametrize(("shape", "roi"), [((20, 17, 23), (8, 9, 10)), ((9, 30, 5), (12, 8, 9))])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_mean_scores(name: str, settings: dict[str, Any], shape: tuple[int, ...], roi: tuple[int, int, int]) -> None:
    mode = window_mode(name, settings)
    volume = np.random.default_rng(3).random((1, *shape), dtype=np.float32)
    expected = by_hand(volume, roi, mode)
    for slots, batch, slab in [(1, 1, True), (2, 3, False)]:
        result = scan(volume, roi, mode, ScoreFinalizer, slots=slots, batch=batch, slab=slab)
        np.testing.assert_allclose(result, expected, rtol=0, atol=3e-6)


SLICE_CASES = [
    ("clara", {"cval": 0.5}),
    *((name, case | ({"mirror_axes": (1, 2)} if "mirror_axes" in case else {})) for name, case in CASES),
]


@pytest.mark.parametrize("across", [0, 1, 2])
@pytest.mark.parametrize(("name", "settings"), SLICE_CASES)
def test_windows_in_slices_are_those_of_each_slice_alone(name: str, settings: dict[str, Any], across: int) -> None:
    """In every mode, a slice has its windows once, and its neighbours do not change it.

    Axes 1 and 2 of the settings are those after the axis across.
    """
    settings = {
        key: tuple((axis + across) % 3 for axis in value) if key == "mirror_axes" else value
        for key, value in settings.items()
    }
    mode, roi = window_mode(name, settings), [6, 8, 12]
    roi[across] = 1
    volume = np.random.default_rng(4).random((1, 11, 13, 10), dtype=np.float32)
    slices = np.split(volume, volume.shape[1 + across], axis=1 + across)
    window = (roi[0], roi[1], roi[2])
    expected = np.concatenate([_one_slice(s, window, mode) for s in slices], axis=1 + across)
    for slots, batch, slab in [(1, 1, True), (2, 3, False), (3, 4, True)]:
        result = scan(volume, window, mode, ScoreFinalizer, slots=slots, batch=batch, slab=slab, slice_axis=across)
        np.testing.assert_allclose(result, expected, rtol=0, atol=3e-6)


def _one_slice(volume: NDArray[np.float32], roi: tuple[int, int, int], mode: WindowMode) -> NDArray[np.float64]:
    if mode.name != "clara":
        return by_hand(volume, roi, mode)
    size = volume.shape[1:]
    padded = np.full((1, *(max(s, r) for s, r in zip(size, roi, strict=True))), mode.cval, np.float32)
    padded[(slice(None), *(slice(0, s) for s in size))] = volume
    sums, total = np.zeros((3, *padded.shape[1:])), np.zeros(padded.shape[1:])
    for start in product(*(mode.starts(axis, n, r) for axis, (n, r) in enumerate(zip(size, roi, strict=True)))):
        box = tuple(slice(s, s + r) for s, r in zip(start, roi, strict=True))
        sums[(slice(None), *box)] += position_dependent_model(padded[(slice(None), *box)][None])[0]
        total[box] += 1
    return (sums / total)[(slice(None), *(slice(0, s) for s in size))]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_labels_are_bit_identical_for_slots_batches_and_slab(name: str, settings: dict[str, Any]) -> None:
    mode, shape, roi = window_mode(name, settings), (19, 15, 26), (8, 16, 10)
    volume = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    choices = [(1, 1, False), (1, 1, True), (2, 2, True), (5, 4, True), (2, 4, False)]
    results = [scan(volume, roi, mode, ArgmaxFinalizer, slots=s, batch=b, slab=k) for s, b, k in choices]
    for labels in results:
        np.testing.assert_array_equal(labels, results[0])
    assert np.mean(results[0] != by_hand(volume, roi, mode).argmax(0)) < 1e-3
    assert len(np.unique(results[0])) > 1


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_masks_are_the_scores_above_their_thresholds(name: str, settings: dict[str, Any]) -> None:
    mode, shape, roi = window_mode(name, settings), (19, 15, 26), (8, 16, 10)
    volume = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    scores = scan(volume, roi, mode, ScoreFinalizer, slots=1, batch=1, slab=False)
    thresholds = scores[:, 7, 7, 7]  # a score that equals its threshold is not above it
    for slots, batch, slab in [(1, 1, True), (2, 3, False), (5, 4, True)]:
        result = scan(
            volume,
            roi,
            mode,
            lambda b, g, _: MaskFinalizer(b, g, thresholds.tolist()),
            slots=slots,
            batch=batch,
            slab=slab,
        )
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, scores > thresholds[:, None, None, None])
    assert 0 < result.mean() < 1
