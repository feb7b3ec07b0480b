"""Voxels near a tie are counted on the GPU, whatever thread or block they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends.base.backend import RollingSums
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.resampling import linear_table
from gpu_infer.backends.tables import ClampedAffine

CPU = CpuBackend()


def test_ties_are_counted_within_the_band() -> None:
    with simulated_cupy() as module:
        backend = module.GpuBackend(tie_band=0.01)
        scores = np.zeros((4, 2, 3, 5), np.float32)
        scores[2] = 1.0
        scores[3, 0, 0, :3] = (0.995, 1.0, 0.98)  # within, equal, outside
        scores[0, 1, 1, 1] = np.nan
        ring = RollingSums(backend.upload(scores), (2, 3, 5))
        labels = backend.zeros((2, 3, 5), np.uint8)
        backend.finish_argmax(ring, (0, 0, 0), (2, 3, 5), labels)
        assert backend.counters()["tied_voxels"] == 2
        assert backend.download(labels)[0, 0].tolist() == [2, 2, 2, 2, 2]


@pytest.mark.parametrize("order", ["forward", "reversed", "scattered"])
def test_ties_of_every_thread_and_block_are_counted(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDASIM_ORDER", order)
    scores = np.random.default_rng(3).integers(0, 4, (3, 9, 41, 70)).astype(np.float32)
    best = np.sort(scores, axis=0)
    expected = int((best[-1] == best[-2]).sum())
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        ring = RollingSums(backend.upload(scores), scores.shape[1:])
        labels = backend.zeros(scores.shape[1:], np.uint8)
        backend.finish_argmax(ring, (0, 0, 0), scores.shape[1:], labels)
        assert backend.counters()["tied_voxels"] == expected > 5000


@pytest.mark.parametrize("order", ["forward", "reversed", "scattered"])
def test_masks_count_voxels_near_a_cut(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDASIM_ORDER", order)
    scores = np.random.default_rng(3).integers(0, 50, (2, 9, 41, 70)).astype(np.float32)
    scores[0, 0, 0, 0] = np.nan
    cuts = np.array([20.25, 7.0], np.float32)
    near = np.abs(scores - cuts[:, None, None, None]) <= np.float32(0.25)
    expected = int(near.any(axis=0).sum())
    with simulated_cupy() as module:
        backend = module.GpuBackend(tie_band=0.25)
        ring = RollingSums(backend.upload(scores), scores.shape[1:])
        counts = [np.ones(n, np.float32) for n in scores.shape[1:]]
        masks = backend.zeros(scores.shape, np.uint8)
        backend.finish_masks(ring, (0, 0, 0), scores.shape[1:], counts, cuts, masks)
        assert backend.counters()["tied_voxels"] == expected > 500
        backend.finish_scores(ring, (0, 0, 0), scores.shape[1:], counts, backend.empty(scores.shape, np.float32))
        assert backend.counters()["tied_voxels"] == expected  # scores decide nothing


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int16, np.uint64])
def test_ties_of_an_argmax_are_counted(dtype: Any) -> None:
    scores = np.random.default_rng(3).integers(0, 4, (3, 9, 41, 70)).astype(dtype)
    best = np.sort(scores, axis=0)
    expected = int((best[-1] == best[-2]).sum())
    if np.dtype(dtype).kind == "f":
        scores[0, 0, 0, 0], scores[1:, 0, 0, 0] = np.nan, (1, 1)
        expected -= int(best[-1, 0, 0, 0] == best[-2, 0, 0, 0])  # a NaN stays the best, and nothing is near it
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        backend.argmax(backend.upload(scores), backend.zeros(scores.shape[1:], np.uint8))
        assert backend.counters()["tied_voxels"] == expected > 5000
        backend.argmax(backend.upload(scores[:1]), backend.zeros(scores.shape[1:], np.uint8))
        assert backend.counters()["tied_voxels"] == expected


@pytest.mark.parametrize("order", ["forward", "reversed", "scattered"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_ties_of_restored_scores_are_counted(
    order: str, axes: tuple[int, ...], channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels whose memory order is that of the scores (a thread per output), and the reverse of it (tiles)."""
    monkeypatch.setenv("CUDASIM_ORDER", order)
    shape, target = (7, 9, 13), (11, 35, 40)
    scores = np.random.default_rng(4).random((channels, *shape), dtype=np.float32)
    tables = tuple(linear_table(a, b) for a, b in zip(shape, target, strict=True))
    whole = np.zeros((channels, *target), np.float32)
    CPU.resample(scores, whole, tables, ClampedAffine(), ClampedAffine())
    best = np.sort(whole, axis=0)
    expected = int((best[-1] - best[-2] <= np.float32(0.02)).sum()) if channels > 1 else 0
    with simulated_cupy() as module:
        backend = module.GpuBackend(tie_band=0.02)
        labels = backend.zeros([target[a] for a in axes], np.uint8).transpose(np.argsort(axes))
        backend.restore_argmax(backend.upload(scores), tables, labels)
        # tables are interpolated in the order of the labels' memory: the last bits differ from one order to another
        assert abs(backend.counters()["tied_voxels"] - expected) <= 2
        assert expected > 100 or channels == 1


def test_one_channel_has_no_ties() -> None:
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        ring = RollingSums(backend.zeros((1, 2, 3, 4), np.float32), (2, 3, 4))
        backend.finish_argmax(ring, (0, 0, 0), (2, 3, 4), backend.zeros((2, 3, 4), np.uint8))
        assert backend.counters()["tied_voxels"] == 0
