"""Fixtures of the Triton tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_infer.triton.naming import SHM_FOLDER, owner_pid


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fails the test when a segment of this process, or of a child that has ended, is left behind.

    Segments of other living processes, such as a second test run on this machine, are none of its business.
    """
    before = set(_segments())
    yield
    left = [name for name in _segments() if name not in before and _is_ours(owner_pid(name))]
    assert not left, f"left in {SHM_FOLDER}: {left}"


def _segments() -> list[str]:
    return sorted(path.name for path in SHM_FOLDER.glob("gpu_infer-*"))


def _is_ours(pid: int | None) -> bool:
    return pid is None or pid == os.getpid() or not Path(f"/proc/{pid}").exists()
