"""The local Triton's environment: what is refused, what counts as installed, what a failure leaves."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.errors import ConfigError, ResourceError, ServerError
from gpu_infer.triton.local import install as install_module
from gpu_infer.triton.local.install import REQUIREMENTS, base_python, environment_folder, install, installed
from gpu_infer.triton.local.runtime import MARKER, Runtime


def complete(folder: Path, **changes: Any) -> Path:
    """An environment as `install` would leave it, hollow."""
    site = folder / "lib" / "site-packages"
    server = site / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    for file in (server, folder / "bin" / "python"):
        file.parent.mkdir(parents=True)
        file.touch()
    facts = {"site_packages": str(site), "libraries": ["/libs", ""], "requirements": list(REQUIREMENTS)}
    (folder / MARKER).write_text(json.dumps(facts | changes))
    return folder


def test_a_complete_environment_is_used_as_it_is(tmp_path: Path) -> None:
    folder = complete(environment_folder(tmp_path))
    assert install(tmp_path) == folder
    runtime = installed(tmp_path)
    assert runtime is not None
    assert runtime.folder == folder


def test_half_old_and_broken_installs_do_not_count(tmp_path: Path) -> None:
    assert Runtime.load(tmp_path / "none", REQUIREMENTS) is None
    half = complete(tmp_path / "half")
    (half / MARKER).unlink()
    assert Runtime.load(half, REQUIREMENTS) is None
    assert Runtime.load(complete(tmp_path / "old", requirements=["nvidia-pytriton==0.6.0"]), REQUIREMENTS) is None
    broken = complete(tmp_path / "broken")
    (broken / MARKER).write_text("{")
    assert Runtime.load(broken, REQUIREMENTS) is None
    gone = complete(tmp_path / "gone")
    (gone / "bin" / "python").unlink()  # the Python it was built on was removed
    assert Runtime.load(gone, REQUIREMENTS) is None


def test_environment_variables_put_the_stubs_python_first(tmp_path: Path) -> None:
    runtime = Runtime.load(complete(tmp_path / "env"), REQUIREMENTS)
    assert runtime is not None
    env = runtime.environment({"PATH": "/usr/bin", "PYTHONPATH": "/x", "PYTHONHOME": "/y", "LD_LIBRARY_PATH": "/z"})
    assert env["PATH"] == f"{tmp_path / 'env' / 'bin'}:/usr/bin"
    assert env["LD_LIBRARY_PATH"] == f"/libs:{tmp_path}/env/lib/site-packages/nvidia_pytriton.libs:/z"
    assert not {"PYTHONPATH", "PYTHONHOME"} & set(env)


@pytest.mark.parametrize(("machine", "system"), [("aarch64", "linux"), ("x86_64", "darwin")])
def test_other_platforms_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str, system: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(ConfigError, match=f"x86-64 Linux, this is {machine} {system} .*--triton HOST:PORT"):
        install(tmp_path)
    assert not list(tmp_path.iterdir())


def test_python_without_numpy_1_wheels_looks_for_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "version_info", type("V", (), {"major": 3, "minor": 13})())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"needs Python 3\.11 or 3\.12, this is 3\.13 and PATH has no other"):
        base_python()
    other = tmp_path / "python3.12"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert base_python() == str(other)
    assert environment_folder(tmp_path / "cache").name == "triton-2.51-py3.12"


@pytest.mark.slow
def test_without_the_wheel_nothing_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    lines: list[str] = []
    with pytest.raises(ServerError, match=r"pip could not install nvidia-pytriton==0\.7\.0: ERROR: .*PIP_INDEX_URL"):
        install(tmp_path, lines.append)
    assert any("nvidia-pytriton" in line for line in lines)
    assert not environment_folder(tmp_path).exists()


def test_a_venv_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install_module, "base_python", lambda: "/bin/false")
    monkeypatch.setattr(install_module, "_version_of", lambda _python: "3.11")
    with pytest.raises(ConfigError, match=r"/bin/false cannot make a virtual environment .*said nothing.*python3-venv"):
        install(tmp_path)
    assert not (tmp_path / "triton-2.51-py3.11").exists()


def spoken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """Replace the Python that makes the environment by a shell script."""
    python = tmp_path / "python3.11"
    python.write_text(f"#!/bin/sh\n{body}\n")
    python.chmod(0o755)
    monkeypatch.setattr(install_module, "base_python", lambda: str(python))


def test_a_venv_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spoken(monkeypatch, tmp_path, "echo zero; echo one; echo; echo two; echo No module named ensurepip; exit 1")
    with pytest.raises(ConfigError, match=r": one \| two \| No module named ensurepip \(install .*python3-venv"):
        install(tmp_path / "cache")


def test_a_terminal_shows_what_takes_so_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also during a run, which shows nothing of pip."""
    spoken(monkeypatch, tmp_path, "exit 1")
    folder = environment_folder(tmp_path / "cache")
    with folder.with_suffix(folder.suffix + ".lock").open("w") as handle, caplog.at_level(logging.INFO):
        fcntl.flock(handle, fcntl.LOCK_EX)
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(install, tmp_path / "cache")
            limit = time.monotonic() + 60
            while not caplog.records and time.monotonic() < limit:
                time.sleep(0.01)
            fcntl.flock(handle, fcntl.LOCK_UN)
            with pytest.raises(ConfigError):
                work.result()
    notices = [record.getMessage() for record in caplog.records if getattr(record, "notice", False)]
    assert notices == [
        "waiting for another process that installs the local Triton",
        f"installing a local Triton (once, 450 MB from PyPI, a minute or more) into {folder}",
    ]


def test_a_full_disk_is_no_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    spoken(monkeypatch, tmp_path, f"echo '{full}'; echo Traceback; exit 1")
    folder = tmp_path / "cache" / "triton-2.51-py3.11"
    with pytest.raises(ResourceError, match=r"No space left on device \(free about 500 MB") as caught:
        install(tmp_path / "cache")
    assert caught.value.exit_code == 5
    assert str(folder) in caught.value.message
    assert "python3-venv" not in str(caught.value)
    assert "GPU_INFER_CACHE" in str(caught.value)
    assert not folder.exists()


@pytest.mark.slow
def test_a_small_disk(tmp_path: Path) -> None:
    tmp_path.joinpath("small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(tmp_path / "small")]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs privileges")
    try:
        with pytest.raises(ResourceError, match=r"small/triton-2\.51-py3\.\d+: no space left"):
            install(tmp_path / "small")
        assert not environment_folder(tmp_path / "small").exists()
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=True)


@pytest.mark.slow
def test_an_interrupted_install_leaves_no_environment(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpu_infer", "triton", "install", "--cache", str(tmp_path)]
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, encoding="utf-8") as process:
        limit = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < limit:
            if list(environment_folder(tmp_path).glob("lib/python*/site-packages/setuptools/*")):
                break  # a grandchild, pip below ensurepip, unpacks thousands of files now
            time.sleep(0.01)
        process.terminate()
        _, message = process.communicate(timeout=60)
    assert process.returncode == 130, message
    assert not environment_folder(tmp_path).exists()
    time.sleep(1)
    assert not environment_folder(tmp_path).exists()
