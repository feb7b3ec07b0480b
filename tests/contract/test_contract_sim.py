from __future__ import annotations

from collections.abc import Iterator

import pytest
from backend_contract import BackendContract
from cudasim.simulated import simulated_cupy
from statistics_contract import StatisticsContract

from gpu_infer.backends.base import Backend


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with simulated_cupy() as gpu:
        yield gpu.GpuBackend()


class TestSimulated(BackendContract, StatisticsContract):
    """The GPU backend on simulated CUDA fulfils the contract."""
