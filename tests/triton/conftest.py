"""Fixtures that more than one file of this folder needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from triton_fakes import FakeServer


@pytest.fixture(params=["grpc", "http"])
def server(request: pytest.FixtureRequest) -> Iterator[FakeServer]:
    """A server in this process, which knows no region after the test; a ring sends to the second without threads."""
    fake = FakeServer(control=request.param)
    yield fake
    assert not fake.regions
