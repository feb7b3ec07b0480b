"""Fixtures that more than one file of this folder needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cudasim.simulated import open_segments_as_cuda, simulated_cupy


@pytest.fixture
def simulated() -> Iterator[Any]:
    """The GPU backend's module on a simulated device with CUDA IPC."""
    with simulated_cupy() as module, pytest.MonkeyPatch.context() as patch:
        open_segments_as_cuda(patch)
        yield module
