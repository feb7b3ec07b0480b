from __future__ import annotations

import pytest
from statistics_contract import StatisticsContract

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend


@pytest.fixture(scope="module")
def backend() -> Backend:
    return CpuBackend()


class TestCpuStatistics(StatisticsContract):
    """The CPU backend fulfils the contract."""
