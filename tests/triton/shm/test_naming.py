"""Names of regions, and locks that show which owners live."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpu_infer.triton.shm import naming
from gpu_infer.triton.shm.naming import create_locked, lock_existing, new_name, owner_pid


def test_names() -> None:
    name = new_name()
    assert owner_pid(name) == os.getpid()
    assert new_name() != name
    for other in ("gpu_infer-", "gpu_infer-12-zz", "triton-1-0123456789abcdef", name + "0"):
        assert owner_pid(other) is None


def test_a_name_that_a_cleaner_removed_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleaner may remove the file between creation and lock: then the next name is used."""
    seen = []
    real = naming.is_at

    def once(fd: int, path: Path) -> bool:
        seen.append(path)
        if len(seen) == 1:
            path.unlink()
        return real(fd, path)

    monkeypatch.setattr(naming, "is_at", once)
    name, fd = create_locked(tmp_path)
    os.close(fd)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert len(seen) == 2


def test_one_process_at_a_time_has_the_lock(tmp_path: Path) -> None:
    name, fd = create_locked(tmp_path)
    with pytest.raises(BlockingIOError):
        lock_existing(tmp_path / name)
    os.close(fd)
    fd = lock_existing(tmp_path / name)
    with pytest.raises(BlockingIOError):
        lock_existing(tmp_path / name)
    os.close(fd)
    with pytest.raises(FileNotFoundError):
        lock_existing(tmp_path / "missing")
    (tmp_path / "link").symlink_to(tmp_path / name)
    with pytest.raises(OSError, match="symbolic link"):
        lock_existing(tmp_path / "link")
