"""Old logs go, but not those of living servers, young ones, and those of other users or programs."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from other_user import needs_two_users

from gpu_infer.triton.local.server_log import KEEP_S, create_log, mark_in_use, remove_old_logs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def _age(path: Path) -> Path:
    then = time.time() - KEEP_S - 60
    os.utime(path, (then, then))
    return path


def test_logs_of_servers_that_ended_are_removed_after_a_day(folder: Path) -> None:
    young, old = create_log(), _age(create_log())
    other = folder / "other.log"
    other.touch()
    _age(other)
    assert remove_old_logs() == [old]
    assert sorted(folder.iterdir()) == sorted([young, other])


def test_the_log_of_a_living_server_stays(folder: Path) -> None:
    """The server inherits the open file, and outlives the object that opened it."""
    log = create_log()
    with log.open("ab") as stream:
        mark_in_use(stream)
        server = subprocess.Popen(["sleep", "60"], stderr=stream)
    _age(log)
    assert remove_old_logs() == []
    server.kill()
    server.wait()
    assert remove_old_logs() == [log]


def test_a_link_is_not_followed(folder: Path) -> None:
    target = folder / "target"
    target.touch()
    link = folder / "gpu_infer-triton-x.log"
    link.symlink_to(target)
    then = time.time() - KEEP_S - 60
    os.utime(link, (then, then), follow_symlinks=False)
    assert remove_old_logs() == []
    assert target.exists()


@needs_two_users
def test_logs_of_other_users_stay() -> None:
    log = _age(create_log())
    os.chown(log, 65534, 65534)
    assert remove_old_logs() == []
