"""Fixtures that more than one file of this folder needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cudasim.simulated import simulated_cupy


@pytest.fixture(scope="module")
def gpu() -> Iterator[Any]:
    """A backend on simulated CUDA, with what it allocates once."""
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        backend.warm_up()
        yield backend
