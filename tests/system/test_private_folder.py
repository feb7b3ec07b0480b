"""Where compiled code is kept: in folders of this user alone, or nowhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from cudasim.simulated import simulated_cupy


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUPY_CACHE_DIR", "CUPY_CACHE_IN_MEMORY", "GPU_INFER_CACHE"):
        monkeypatch.setenv(name, "")


def found() -> tuple[str, str]:
    """What CuPy is told when the backend is imported: its folder, and whether to do without."""
    with simulated_cupy():
        return os.environ["CUPY_CACHE_DIR"], os.environ["CUPY_CACHE_IN_MEMORY"]


def test_cupys_folder_is_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path))
    assert found() == (str(tmp_path / "cupy"), "")
    assert (tmp_path / "cupy").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_named_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "mine"))
    assert found() == (str(tmp_path / "mine"), "")
    assert not (tmp_path / "mine").exists()


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path))
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy").chmod(0o777)
    assert found() == ("", "1")


def test_a_link_to_somewhere_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cupy").symlink_to(tmp_path / "elsewhere")
    assert found() == ("", "1")


def test_another_user_s_folder_under_the_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our name is taken, as by somebody who was there first, and so is the next one."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"gpu_infer-{os.getuid()}").write_text("not a folder that we can use")
    theirs = tmp_path / f"gpu_infer-cupy-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o777)
    assert found() == ("", "1")
    assert not list(theirs.iterdir())
