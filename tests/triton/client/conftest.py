"""Fixtures that more than one file of this folder needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from real_server import regions_left

from gpu_infer.triton.client.protocol import TritonClient
from gpu_infer.triton.client.server import make_client


@pytest.fixture
def triton(triton_server: Any) -> Iterator[Any]:
    """The session's Triton, which knows no region of this program after the test."""
    yield triton_server
    assert regions_left(triton_server) == []


@pytest.fixture(params=["grpc", "http"])
def client(request: Any, triton: Any) -> Iterator[TritonClient]:
    """A client of each protocol; closing it twice is allowed."""
    made = make_client(request.param, triton.grpc if request.param == "grpc" else triton.http)
    yield made
    made.close()
    made.close()
