"""Checks of this host, on folders and programs made for the purpose."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from other_user import holds_for_another_user, needs_two_users, open_parents

from gpu_infer._version import __version__
from gpu_infer.doctor import host
from gpu_infer.doctor.check import Check, exit_code
from gpu_infer.doctor.folders import check_writable
from gpu_infer.doctor.installation import check_packages, check_python, check_resources

Usage = namedtuple("Usage", "total used free")


def _program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_first_failure_gives_the_exit_code() -> None:
    ok, warn = Check("a", "ok", ""), Check("b", "warn", "", "c", 5)
    assert exit_code([ok, warn]) == 0
    assert exit_code([ok, warn, Check("c", "fail", "", "", 4), Check("d", "fail", "", "", 2)]) == 4


def test_this_installation_is_whole() -> None:
    assert check_python().status == "ok"
    packages = check_packages()
    assert packages.status == "ok"
    assert "numpy " in packages.found
    assert check_resources().status == "ok"
    assert check_python().found.startswith(f"{__version__}, Python 3.")


def test_a_missing_package_is_named() -> None:
    check = check_packages(("numpy", "no-such-package"))
    assert (check.status, check.found, check.exit_code) == ("fail", "missing: no-such-package", 1)


def test_writable_folder(tmp_path: Path) -> None:
    check = check_writable("output", tmp_path)
    assert check.status == "ok"
    assert not list(tmp_path.iterdir())
    check = check_writable("output", tmp_path / "a" / "b")
    assert "(will be created)" in check.found
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a file system that nobody can write to")
def test_unwritable_folder() -> None:
    check = check_writable("output", Path("/proc/sys"))
    assert (check.status, check.exit_code) == ("fail", 2)
    assert "/proc/sys cannot be written" in check.found
    assert check.remedy is not None
    assert "--output" in check.remedy


def test_names_that_no_folder_can_have(tmp_path: Path) -> None:
    check = check_writable("output", tmp_path / ("a" * 300))
    assert (check.status, check.exit_code) == ("fail", 2)
    assert check.found.endswith("cannot be written: File name too long")


@needs_two_users
def test_a_folder_below_one_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0o700)
    open_parents(tmp_path)

    def is_refused() -> bool:
        check = check_writable("output", tmp_path / "secret" / "out")
        return check.found.endswith("/secret/out cannot be written: Permission denied")

    assert holds_for_another_user(is_refused)


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40 - 2**28, 2**28))
    check = check_writable("output", tmp_path)
    assert (check.status, check.found) == ("warn", f"{tmp_path}: 0.25 GiB free")


@pytest.mark.parametrize(("free", "status"), [(64 << 20, "warn"), (1 << 30, "ok")])
def test_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 30, 0, free))
    check = host.check_shared_memory(tmp_path)
    assert check.status == status
    assert check.found == f"{tmp_path}: {free >> 20} of 1024 MiB free"
    assert (check.remedy is None) == (status == "ok")


def test_no_shared_memory(tmp_path: Path) -> None:
    assert host.check_shared_memory(tmp_path / "none").status == "warn"


def test_no_gpu_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host.check_gpu().status == "ok"


def test_gpu_without_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "nvidia-smi", "echo 'NVIDIA H100, 81559 MiB, 550.54'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host.importlib.util, "find_spec", lambda _: None)
    check = host.check_gpu()
    assert check.status == "warn"
    assert check.found == "NVIDIA H100, 81559 MiB, 550.54; cupy is not installed"


def test_a_broken_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "nvidia-smi", "echo 'Failed to initialize NVML'; exit 18")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    check = host.check_gpu()
    assert (check.status, check.found) == ("warn", "Failed to initialize NVML")
