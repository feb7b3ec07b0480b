"""Tests of the GPU path on the fake driver alone: `make test-fake-cuda` has it, no other run collects them."""

from __future__ import annotations

from typing import Any

import pytest
from fakecuda.places import is_fake

collect_ignore_glob = [] if is_fake() else ["test_*.py"]


@pytest.fixture
def backend() -> Any:
    """A GPU backend of this test's own, with memory and pinned buffers that nothing has used."""
    from gpu_infer.backends.gpu.backend import GpuBackend

    return GpuBackend()
