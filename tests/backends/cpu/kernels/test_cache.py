from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_infer.backends.cpu.kernels import cache as numba_cache

_SHOW = (
    "import os; from gpu_infer.backends.cpu.kernels.cache import CACHE; print(CACHE, os.environ.get('NUMBA_CACHE_DIR'))"
)


def _child(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _SHOW],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout.split()


def test_the_user_cache_folder_is_taken(tmp_path: Path) -> None:
    assert _child(XDG_CACHE_HOME=str(tmp_path)) == ["True", str(tmp_path / "gpu_infer" / "numba")]
    assert (tmp_path / "gpu_infer" / "numba").stat().st_mode & 0o777 == 0o700


def test_a_folder_of_the_environment_wins(tmp_path: Path) -> None:
    assert _child(NUMBA_CACHE_DIR="/elsewhere", XDG_CACHE_HOME=str(tmp_path)) == ["True", "/elsewhere"]


def test_the_temporary_folder_comes_next(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    got = _child(XDG_CACHE_HOME=str(blocked), TMPDIR=str(temporary))
    assert got == ["True", str(temporary / f"gpu_infer-numba-{os.geteuid()}")]


def test_a_folder_that_others_can_write_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(numba_cache, "_candidates", lambda: [shared, private])
    assert numba_cache.choose_cache_folder() == private


def test_without_any_folder_kernels_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(numba_cache, "_candidates", list)
    with caplog.at_level(logging.WARNING):
        assert not numba_cache._configure()
    assert "set NUMBA_CACHE_DIR" in caplog.text


def test_a_home_that_cannot_be_found_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_cache, "user_cache_path", lambda name: Path("~/.cache") / name)
    assert all(folder.is_absolute() for folder in numba_cache._candidates())


def test_a_full_folder_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not numba_cache._usable(tmp_path / "cache")
    assert numba_cache.choose_cache_folder() is None


@pytest.mark.parametrize("name", ["file/below", "full"])
def test_a_folder_of_the_environment_that_cannot_be_used_is_a_warning(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / name))
    if name == "full":
        monkeypatch.setattr(numba_cache, "_NEEDED", 1 << 62)
    assert not numba_cache._configure()
    assert f"NUMBA_CACHE_DIR {tmp_path / name} cannot be written or is full" in caplog.text
