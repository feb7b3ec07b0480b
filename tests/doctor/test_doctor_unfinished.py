"""Hidden folders of killed runs are found and removed, those of running ones are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpu_infer.doctor.folders import check_unfinished
from gpu_infer.writers.atomic import staging
from gpu_infer.writers.unfinished import find_unfinished

WRITER = """
import sys, time
from pathlib import Path
from gpu_infer.writers.atomic import staging
with staging(Path(sys.argv[1]), "ct") as stage:
    (stage / "ct.raw").write_bytes(bytes(100))
    print(stage, flush=True)
    time.sleep(60)
"""


def aged(path: Path) -> Path:
    """Made an hour ago."""
    os.utime(path, (time.time() - 3600,) * 2)
    return path


@pytest.fixture
def writer(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)


def test_a_killed_run(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    with writer:
        assert writer.stdout is not None
        stage = aged(Path(writer.stdout.readline().strip()))
        assert find_unfinished(tmp_path) == []  # it runs
        writer.send_signal(signal.SIGKILL)
    assert find_unfinished(tmp_path) == [stage]

    (check,) = check_unfinished("output", tmp_path, clean=False)
    assert (check.status, check.found) == ("warn", f"left by a killed run: {stage}")
    assert check.remedy == "gpu-infer doctor --clean removes it"
    (check,) = check_unfinished("output", tmp_path, clean=True)
    assert (check.status, check.found) == ("ok", f"removed: {stage}")
    assert list(tmp_path.iterdir()) == []
    assert check_unfinished("output", tmp_path, clean=True) == []


def test_what_is_not_ours_or_not_old_enough_stays(tmp_path: Path) -> None:
    aged_file = tmp_path / ".notes.abcdefgh.partial"
    aged_file.write_text("a file")
    aged(aged_file)
    (tmp_path / ".young.abcdefgh.partial").mkdir()
    target = tmp_path / "elsewhere"
    target.mkdir()
    aged(target)
    (tmp_path / ".link.abcdefgh.partial").symlink_to(target)
    (tmp_path / ".own.partial").mkdir()
    aged(tmp_path / ".own.partial")
    with staging(tmp_path, "mine") as stage:
        aged(stage)
        assert find_unfinished(tmp_path) == []
    assert find_unfinished(tmp_path / "missing") == []
    assert not stage.exists()
