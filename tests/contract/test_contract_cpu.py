from __future__ import annotations

import pytest
from backend_contract import BackendContract

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend


@pytest.fixture(scope="module")
def backend() -> Backend:
    return CpuBackend()


class TestCpu(BackendContract):
    """The CPU backend fulfils the contract."""
