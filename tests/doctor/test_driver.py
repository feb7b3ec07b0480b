"""The driver's library under the name that Triton's Python backend opens, on libraries made for the purpose."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.doctor import server
from gpu_infer.doctor.driver import check_driver_library
from gpu_infer.settings import Settings


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """A library named as a driver installs it, in a folder of its own."""
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so")
        pytest.skip("this machine's own libcuda.so would answer")
    if (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        pytest.skip("no C compiler")
    folder = tmp_path / "driver"
    folder.mkdir()
    (tmp_path / "empty.c").write_text("int nothing;\n")
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "empty.c"], check=True)
    return library


def settings_with(models: Path | None) -> Settings:
    folder = Path("nowhere")
    return Settings(input=folder, output=folder, logs=folder, config=folder / "none.json", local_models=models)


def environment(folder: Path) -> dict[str, str]:
    return dict(os.environ) | {"LD_LIBRARY_PATH": str(folder)}


def test_a_driver_without_the_short_name_is_a_warning_with_the_link_to_make(driver: Path) -> None:
    (check,) = check_driver_library(environment(driver.parent))
    assert (check.name, check.status) == ("driver library", "warn")
    assert f"libcuda.so.1 can be loaded ({driver}), libcuda.so cannot" in check.found
    assert check.remedy is not None
    assert check.remedy.startswith(f"ln -s {driver} {driver.parent}/libcuda.so")


def test_the_link_makes_it_well(driver: Path) -> None:
    (driver.parent / "libcuda.so").symlink_to(driver.name)
    (check,) = check_driver_library(environment(driver.parent))
    assert (check.status, check.found) == ("ok", f"libcuda.so is {driver}")


def test_doctor_asks_for_local_servers_alone(driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver.parent))

    def no_server(*_: object) -> None:
        raise server.GpuInferError("no server in this test")

    monkeypatch.setattr("gpu_infer.connect.connect", no_server)
    monkeypatch.setattr("gpu_infer.triton.local.install.installed", lambda: None)
    asked = {}
    for name, models in (("local", tmp_path), ("remote", None)):
        checks = server.check_server(settings_with(models), None, None, CpuBackend())
        asked[name] = [check.name for check in checks]
    assert "driver library" in asked["local"]
    assert "driver library" not in asked["remote"]
