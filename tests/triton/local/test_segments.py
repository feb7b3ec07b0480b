"""Leftovers of killed local servers in /dev/shm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpu_infer.triton.local import segments
from gpu_infer.triton.local.segments import remove_leftovers
from gpu_infer.triton.local.supervisor import region_prefix, take_prefix


@pytest.fixture
def shm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own in place of /dev/shm."""
    monkeypatch.setattr(segments, "SHM_FOLDER", tmp_path)
    return tmp_path


def test_leftovers_of_dead_supervisors_only(shm: Path) -> None:
    """Neither pid proves anything: this one is alive, and a supervisor in another container may have any pid."""
    dead, fd = take_prefix(shm)
    os.close(fd)
    living, lock = take_prefix(shm)
    without_owner = f"{region_prefix(os.getpid())}{'0' * 16}_"
    for prefix in (dead, living, without_owner):
        (shm / f"{prefix}region").touch()
    (shm / f"{region_prefix(1)}of-an-older-version").touch()
    try:
        removed = remove_leftovers()
    finally:
        os.close(lock)
    assert set(removed) == {f"{dead}owner", f"{dead}region", f"{without_owner}region"}
    assert {path.name for path in shm.iterdir()} == {
        f"{living}owner",
        f"{living}region",
        f"{region_prefix(1)}of-an-older-version",
    }
