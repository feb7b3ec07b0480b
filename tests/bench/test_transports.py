"""bench.transports with a simulated device and a real server: device tiles through slots of either memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import open_segments_as_cuda, simulated_cupy

from bench import transports
from bench.support.served import MODELS
from gpu_infer.backends.base.backend import RollingSums
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.triton.local.serve import LocalServer

pytestmark = pytest.mark.slow

SHAPE = (9, 8, 7)
NBYTES = 3 * 4 * 9 * 8 * 7


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer([MODELS]) as started:
        yield started


@pytest.fixture
def gpu() -> Iterator[Any]:
    with simulated_cupy() as module, pytest.MonkeyPatch.context() as patch:
        open_segments_as_cuda(patch)
        yield module.GpuBackend()


@pytest.mark.parametrize(("control", "data"), transports.TRANSPORTS)
def test_every_way_takes_tiles_from_the_device(server: LocalServer, gpu: Any, control: str, data: str) -> None:
    row = transports._tiles(server, gpu, control, data, SHAPE, slots=2, tiles=5)
    shared = data != "inline"
    assert (row["inline_bytes_per_tile"], row["shm_bytes_per_tile"]) == ((0, NBYTES) if shared else (NBYTES, 0))
    assert 0 < row["latency_low_s"] <= row["latency_s"] <= row["latency_high_s"]
    counted = gpu.counters()
    sent = 5 + 3  # slots + 1 tiles are not timed
    on_device = data == "cuda_shm"
    assert counted["tile_bytes_down"] == (0 if on_device else sent * NBYTES // 3)
    assert counted["tile_bytes_up"] == (0 if on_device else sent * 2 * NBYTES // 3)


@pytest.mark.parametrize(("control", "data"), [*transports.TRANSPORTS[:4]])
def test_the_cpu_takes_them_too(server: LocalServer, control: str, data: str) -> None:
    assert transports._tiles(server, CpuBackend(), control, data, SHAPE, slots=1, tiles=2)["in_flight"] == 1


@pytest.mark.parametrize(("control", "data"), transports.TRANSPORTS)
def test_answers_are_the_models(server: LocalServer, gpu: Any, control: str, data: str) -> None:
    """The model answers 0.5 everywhere but in one voxel, where it repeats the tile's first."""
    tile = np.random.default_rng(2).random((1, *SHAPE), dtype=np.float32)
    sums = RollingSums(gpu.zeros((2, *SHAPE), np.float32), SHAPE)
    with transports._ring(server, gpu, control, data, SHAPE, 2) as ring:
        transports._stream(ring, gpu, gpu.upload(tile), sums, 3)
    expected = np.full((2, *SHAPE), 1.5, np.float32)
    expected[1, 0, 0, 0] = tile[0, 0, 0, 0] + tile[0, 0, 0, 0] + tile[0, 0, 0, 0]
    np.testing.assert_array_equal(gpu.download(sums.sums), expected)
