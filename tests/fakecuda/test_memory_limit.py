"""The limit that CuPy reads from the environment."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.gpu

MIB = 1 << 20


def test_the_limit_of_cupys_own_pool_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """`free_bytes` counts the device's memory, and a plan that fits there is carried out."""
    from gpu_infer.backends.gpu.backend import GpuBackend

    monkeypatch.setenv("CUPY_GPU_MEMORY_LIMIT", str(MIB))
    backend = GpuBackend()
    host = np.full(8 * MIB, 5, np.uint8)
    assert backend.free_bytes() > 100 * MIB
    np.testing.assert_array_equal(backend.download(backend.upload(host)), host)
