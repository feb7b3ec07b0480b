"""Histograms of arrays with gaps, on simulated CUDA: counted slab by slab."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

VIEWS: dict[str, Any] = {
    "crop": lambda a: a[1:, 2:-1, 3:-2],
    "every second, backwards": lambda a: a[::-2, :, ::2],
    "turned": lambda a: a.transpose(2, 0, 1)[5:, :, :9],
    "one plane": lambda a: a[:, 4, ::3],
    "one line": lambda a: a[3, 4, ::2],
    "one label": lambda a: a[3, 4, 5],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_voxel_of_a_view_counts_once(dtype: Any, view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(3).integers(0, 200, (30, 31, 32)).astype(dtype)
    with simulated_cupy() as gpu:
        from gpu_infer.backends.gpu import operations

        monkeypatch.setattr(operations, "_SLAB_BYTES", 3000)
        backend = gpu.GpuBackend()
        counts = backend.histogram(VIEWS[view](backend.upload(labels)))
    np.testing.assert_array_equal(counts, np.bincount(VIEWS[view](labels).ravel()))


def test_no_compact_copy_of_the_array_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated_cupy() as gpu:
        from gpu_infer.backends.gpu import operations

        monkeypatch.setattr(operations, "_SLAB_BYTES", 16 << 10)
        backend = gpu.GpuBackend()
        labels = backend.zeros((64, 64, 130), np.uint8)
        backend.start_run()
        before = backend.counters()["peak_device_bytes"]
        backend.histogram(labels[..., :128])
        assert backend.counters()["peak_device_bytes"] - before < 64 << 10  # of 512 KiB
