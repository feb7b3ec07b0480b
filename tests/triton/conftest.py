"""Fixtures that more than one file of this folder needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from triton_fakes import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server in this process, which knows no region after the test."""
    fake = FakeServer()
    yield fake
    assert not fake.regions
