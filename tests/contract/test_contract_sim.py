from __future__ import annotations

from collections.abc import Iterator

import pytest
from backend_contract import BackendContract
from cudasim.simulated import simulated_cupy
from statistics_contract import StatisticsContract

from gpu_infer.backends.base.backend import Backend


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with simulated_cupy() as gpu:
        yield gpu.GpuBackend()


class TestSimulated(BackendContract, StatisticsContract):
    """The GPU backend on simulated CUDA fulfils the contract."""


@pytest.fixture(scope="module", params=["reversed", "scattered"])
def thread_order(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDASIM_ORDER", request.param)
        yield


@pytest.mark.usefixtures("thread_order")
class TestSimulatedInAnotherOrder(BackendContract, StatisticsContract):
    """So it does whatever the order in which the threads of a block take their turns: no barrier is missing."""
