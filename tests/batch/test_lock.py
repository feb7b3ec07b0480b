"""One batch at a time in a folder, one per part; locks of dead processes are no obstacle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_infer.batch.engines.parts import Part
from gpu_infer.batch.lock import batch_lock
from gpu_infer.errors import ConfigError

HOLD = """
import subprocess, sys, time
from pathlib import Path
from gpu_infer.batch.lock import batch_lock
with batch_lock(Path(sys.argv[1]), None) as handles:
    subprocess.Popen(["sleep", sys.argv[2]], pass_fds=handles)
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_batch_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    with batch_lock(tmp_path, None):
        message = rf"a batch is being written there by process {os.getpid()} on "
        with pytest.raises(ConfigError, match=message), batch_lock(tmp_path, None):
            pass
        with pytest.raises(ConfigError, match="a batch is being written there"), batch_lock(tmp_path, Part(1, 2)):
            pass
    with batch_lock(tmp_path, None):
        pass
    assert list(tmp_path.iterdir()) == []


def test_parts_run_side_by_side_but_not_twice(tmp_path: Path) -> None:
    with batch_lock(tmp_path, Part(1, 2)), batch_lock(tmp_path, Part(2, 2)):
        for part in (Part(1, 2), None):
            with pytest.raises(ConfigError, match=re.escape(str(tmp_path))), batch_lock(tmp_path, part):
                pass
    assert list(tmp_path.iterdir()) == []


def test_an_exception_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), batch_lock(tmp_path, None):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_the_workers_of_a_killed_batch_are_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path), "1.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with batch_lock(tmp_path, None) as handles:
            assert len(handles) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("of the user")
    (tmp_path / ".gpu_infer.batch.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match="found a link or a special file"), batch_lock(tmp_path, None):
        pass
    assert (tmp_path / "victim").read_text() == "of the user"
