"""Random chains with filters take no more memory than planned, on the CPU and on a simulated GPU."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from random_chains import filter_chain
from traced_memory import traced
from transforms_oracle import ARGMAX, affine_of, volume_of

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.filters import FilterPlaces
from gpu_infer.transforms.chain.pipeline import Pipeline

CHAINS = 100
SLACK = 384 << 10
"""Bytes of tables (256 KiB to count digits of numbers in 16 threads), weights, and what Python allocates."""

VOLUME = volume_of(
    np.random.default_rng(1).integers(-50, 900, (60, 56, 40)).astype(np.int16),
    affine_of((1, 0, 2), (True, False, False), (0.9, 0.9, 1.5)),
)


@pytest.mark.parametrize("seed", range(CHAINS // 2))
def test_on_the_cpu(seed: int) -> None:
    """The stored voxels are not counted: the CPU reads them where they are, and the memory plan adds them."""
    pipeline, backend = Pipeline(filter_chain(seed), ARGMAX), CpuBackend()
    planned = pipeline.trace(1, VOLUME.geometry, np.int16, classes=2).peak_bytes
    pipeline.prepare(VOLUME, backend)  # kernels are compiled, and libraries imported
    _, peak = traced(lambda: pipeline.prepare(VOLUME, backend))
    assert peak <= planned + SLACK


@pytest.mark.parametrize("has_cucim", [True, False])
@pytest.mark.parametrize("seed", range(CHAINS // 2, CHAINS))
def test_on_a_gpu(gpu: Any, monkeypatch: pytest.MonkeyPatch, seed: int, has_cucim: bool) -> None:
    """Of the libraries' own arrays, the stand-ins allocate the results."""
    if not has_cucim:
        monkeypatch.setitem(sys.modules, "cucim.skimage.filters", None)
        monkeypatch.setitem(sys.modules, "cucim.skimage.exposure", None)
    pipeline = Pipeline(filter_chain(seed), ARGMAX)
    places = FilterPlaces(True, gpu.filters_on_host(pipeline.library_filters))
    planned = pipeline.trace(1, VOLUME.geometry, np.int16, classes=2, places=places).peak_bytes
    gpu.start_run()
    fields = pipeline.prepare(VOLUME, gpu)
    assert gpu.counters()["peak_device_bytes"] <= planned + SLACK
    assert fields["image"].array.dtype == np.float32
