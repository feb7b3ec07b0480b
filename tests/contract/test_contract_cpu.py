from __future__ import annotations

import pytest
from backend_contract import BackendContract
from blend_split_contract import BlendSplitContract
from finish_contract import FinishContract
from windows_contract import WindowsContract

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend


@pytest.fixture(scope="module")
def backend() -> Backend:
    return CpuBackend()


class TestCpu(BackendContract):
    """The CPU backend fulfils the contract."""


class TestCpuWithThreads(WindowsContract, BlendSplitContract, FinishContract):
    """Windows of few voxels are gathered and added on the calling thread; here threads share them, too."""

    @pytest.fixture(autouse=True)
    def _no_voxels_are_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gpu_infer.backends.cpu.windows.FEW", 0)
