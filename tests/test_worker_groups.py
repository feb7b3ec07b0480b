"""What `make test` relies on when it runs tests in several processes."""

from __future__ import annotations

import os

import pytest


def test_a_file_stays_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist writes a test's group behind its name, and goes by that; other versions of pytest ignore it."""
    if "PYTEST_XDIST_WORKER" not in os.environ or not request.config.getoption("loadgroup", default=False):
        pytest.skip("no groups: one process, or another way to distribute tests")
    assert request.node.nodeid.endswith("@test_worker_groups.py")
