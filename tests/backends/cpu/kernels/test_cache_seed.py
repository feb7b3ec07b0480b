"""Kernels compiled when an image was built become the cache of a run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.backends.cpu.kernels.cache import seed


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    folder = tmp_path / "compiled"
    (folder / "numba" / "finish_0123").mkdir(parents=True)
    (folder / "numba" / "finish_0123" / "a.nbi").write_bytes(b"index")
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_empty_cache_starts_as_a_copy(compiled: Path, tmp_path: Path) -> None:
    code = "import os, gpu_infer.backends.cpu.kernels.cache; print(os.environ['NUMBA_CACHE_DIR'])"
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path), "GPU_INFER_KERNELS": str(compiled)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    folder = Path(done.stdout.strip())
    assert folder == tmp_path / "gpu_infer" / "numba"
    assert _files(folder) == {"finish_0123/a.nbi": b"index"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(folder.parent.glob("*.part-*"))


def test_a_read_only_source_gives_a_writable_copy(compiled: Path, tmp_path: Path) -> None:
    for path in (compiled / "numba" / "finish_0123", compiled / "numba"):
        path.chmod(0o555)
    target = tmp_path / "target"
    target.mkdir()
    assert seed(target, compiled / "numba")
    assert (target / "finish_0123").stat().st_mode & 0o200
    for path in (compiled / "numba", compiled / "numba" / "finish_0123"):
        path.chmod(0o755)


def test_a_cache_with_something_in_it_is_left_alone(compiled: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "own").write_text("mine")
    assert not seed(target, compiled / "numba")
    assert _files(target) == {"own": b"mine"}


def test_containers_with_one_process_id_do_not_remove_each_other_s_copy(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both copy to one cache folder at once; the second one begins and ends while the first one copies."""
    target = tmp_path / "target"
    target.mkdir()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    copy, outcomes = shutil.copyfile, []

    def copy_slowly(source: str, place: str, **options: Any) -> Any:
        done = copy(source, place, **options)
        if not outcomes:
            outcomes.append(None)
            outcomes[0] = seed(target, compiled / "numba")
        return done

    monkeypatch.setattr(shutil, "copyfile", copy_slowly)
    first = seed(target, compiled / "numba")
    assert (outcomes, first) == ([True], False)
    assert _files(target) == {"finish_0123/a.nbi": b"index"}
    assert not list(tmp_path.glob("*.part-*"))


def test_copies_of_killed_processes_are_removed_after_a_day(compiled: Path, tmp_path: Path) -> None:
    target, old, new = (tmp_path / name for name in ("target", "target.part-1", "target.part-2"))
    for folder in (target, old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    assert seed(target, compiled / "numba")
    assert not old.exists()
    assert new.exists()


def test_nothing_to_copy(tmp_path: Path) -> None:
    assert not seed(tmp_path, tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_name_and_home() -> None:
    code = (
        f"import os, sys; sys.path[:0] = {sys.path!r}\n"
        "from gpu_infer.backends.cpu.kernels import cache as numba_cache\n"
        "from gpu_infer.system.cache import cache_folder\n"
        "os.setgroups([]); os.setgid(54321); os.setuid(54321)\n"
        "os.environ.pop('NUMBA_CACHE_DIR'); numba_cache._configure()\n"
        "print(os.environ['NUMBA_CACHE_DIR'], cache_folder())"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own ones are closed to other users
        Path(folder).chmod(0o777)
        environment = {"PATH": os.environ["PATH"], "TMPDIR": folder, "NUMBA_CACHE_DIR": "/unset"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"{folder}/gpu_infer-numba-54321", f"{folder}/gpu_infer-54321"]


def test_kernels_that_this_user_may_not_read_are_a_warning(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise nothing explains the minute that compiling takes; root may read everything, so copying is replaced."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(compiled / "numba"))

    monkeypatch.setattr("shutil.copytree", refuse)
    (tmp_path / "target").mkdir()
    assert not seed(tmp_path / "target", compiled / "numba")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "Permission denied" in record.getMessage()
    assert not list(tmp_path.glob("*.part-*"))
