"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from real_device import why_no_device, why_no_triton

from gpu_infer.triton.local.serve import LocalServer

TEST_MODELS = Path(__file__).parent / "models"
_SHM = Path("/dev/shm")

settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, max_examples=100)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of the device where there is none, before its fixtures (a Triton among them) are made."""
    if item.get_closest_marker("gpu") is None:
        return
    reason = why_no_device()
    if reason is None and {"triton_server", "fresh_triton"} & set(getattr(item, "fixturenames", ())):
        reason = why_no_triton()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def triton_server() -> Iterator[LocalServer]:
    """A real Triton over tests/models for the whole session; leave it running. Installed on first use."""
    with LocalServer(TEST_MODELS) as server:
        yield server


@pytest.fixture
def fresh_triton() -> Iterator[LocalServer]:
    """A real Triton of its own, for tests that kill or restart it."""
    with LocalServer(TEST_MODELS) as server:
        yield server


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fails the test when it leaves shared-memory files of this process or its children's clients behind."""
    before = _client_segments()
    yield
    left = _client_segments() - before
    assert not left, f"left in {_SHM}: {sorted(left)}"


def _client_segments() -> set[str]:
    return {path.name for path in _SHM.glob("gpu_infer-*")}
