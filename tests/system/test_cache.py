"""The cache folder: choice, users without a home folder, refusals; private folders for compiled code."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import platformdirs
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.errors import ConfigError
from gpu_infer.system.cache import cache_folder


def test_argument_then_variable_then_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "variable"))
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
    assert cache_folder() == tmp_path / "variable"
    monkeypatch.delenv("GPU_INFER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / "gpu_infer"
    assert stat.S_IMODE(cache_folder().stat().st_mode) == 0o700


@pytest.mark.parametrize("home", ["~/.cache/gpu_infer", "/proc/none/gpu_infer"])
def test_without_a_usable_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str) -> None:
    monkeypatch.delenv("GPU_INFER_CACHE", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_args, **_kwargs: home)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    assert cache_folder() == tmp_path / f"gpu_infer-{os.getuid()}"
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/proc/none")
    with pytest.raises(ConfigError, match=r"can be written .point GPU_INFER_CACHE"):
        cache_folder()


def test_a_uid_without_passwd_entry_and_without_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """platformdirs raises for it since 4.11 or so; the temporary folder is what remains."""

    def nowhere(*_args: object, **_kwargs: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("GPU_INFER_CACHE", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", nowhere)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    assert cache_folder() == tmp_path / f"gpu_infer-{os.getuid()}"
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/proc/none")
    with pytest.raises(ConfigError, match="neither a home folder nor /proc/none"):
        cache_folder()


def test_a_folder_asked_for_must_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"cache folder {tmp_path}/file/x cannot be written"):
        cache_folder(tmp_path / "file" / "x")


def test_no_temporary_folder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.delenv("GPU_INFER_CACHE", raising=False)
    monkeypatch.setattr("gpu_infer.system.cache._home", lambda: None)
    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(ConfigError, match="nor a temporary folder can be written") as caught:
        cache_folder()
    assert "TMPDIR" in str(caught.value)


@pytest.fixture
def unset_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUPY_CACHE_DIR", "CUPY_CACHE_IN_MEMORY", "GPU_INFER_CACHE"):
        monkeypatch.setenv(name, "")


def cupy_cache() -> tuple[str, str]:
    """CUPY_CACHE_DIR and CUPY_CACHE_IN_MEMORY after the GPU backend was imported."""
    with simulated_cupy():
        return os.environ["CUPY_CACHE_DIR"], os.environ["CUPY_CACHE_IN_MEMORY"]


@pytest.mark.usefixtures("unset_folders")
def test_cupys_folder_is_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path))
    assert cupy_cache() == (str(tmp_path / "cupy"), "")
    assert (tmp_path / "cupy").stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("unset_folders")
def test_a_folder_that_is_named_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "mine"))
    assert cupy_cache() == (str(tmp_path / "mine"), "")
    assert not (tmp_path / "mine").exists()


@pytest.mark.usefixtures("unset_folders")
def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path))
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy").chmod(0o777)
    assert cupy_cache() == ("", "1")


@pytest.mark.usefixtures("unset_folders")
def test_a_link_to_somewhere_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cupy").symlink_to(tmp_path / "elsewhere")
    assert cupy_cache() == ("", "1")


@pytest.mark.usefixtures("unset_folders")
def test_another_user_s_folder_under_the_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user created both our folder and the one that CuPy would choose."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"gpu_infer-{os.getuid()}").write_text("not a folder that we can use")
    theirs = tmp_path / f"gpu_infer-cupy-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o777)
    assert cupy_cache() == ("", "1")
    assert not list(theirs.iterdir())
