from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
from backend_contract import BackendContract
from statistics_contract import StatisticsContract

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import ConfigError

pytestmark = pytest.mark.gpu

if importlib.util.find_spec("cupy") is None:
    pytest.skip("cupy is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    from gpu_infer.backends.gpu.backend import GpuBackend

    try:
        yield GpuBackend()
    except ConfigError as error:
        pytest.skip(error.message)


class TestGpu(BackendContract, StatisticsContract):
    """The GPU backend fulfils the contract on a device."""
