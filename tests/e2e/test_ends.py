"""The end of a run while the server works on a request that it does not give up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operator_helpers import config, write_config, write_nifti
from real_server import kill

from gpu_infer.triton.local.serve import LocalServer

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parents[1] / "models"
MODEL_SLEEPS_S = 25.0
ENDS_WITHIN_S = 8.0
"""Docker kills a container that does not end 10 s after SIGTERM: the one promise here that is a time."""

WAYS = [(control, data) for control in ("grpc", "http") for data in ("system_shm", "inline")]


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator[LocalServer]:
    """A server whose model sleeps on the first request."""
    shutil.copytree(MODELS / "sleeps_once", tmp_path / "models/sleeps_once", ignore=shutil.ignore_patterns("__pyc*"))
    with LocalServer(tmp_path / "models") as server:
        yield server
        kill(server)


def started(root: Path, *options: str) -> subprocess.Popen[str]:
    volume = np.zeros((16, 16, 16), np.float32)
    volume[0, 0, 0] = MODEL_SLEEPS_S
    write_nifti(root / "input" / "scan.nii", volume, np.eye(4))
    path = write_config(root / "config", config("sleeps_once", roi_size=[16, 16, 16]))
    arguments = ["run", "--input", root / "input", "--output", root / "output", "--logs", root / "logs"]
    arguments += ["--config", path, "--wait", "10", *options]
    command = [sys.executable, "-m", "gpu_infer", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8")


def until_it_sleeps(root: Path) -> None:
    end = time.monotonic() + 60
    while not list((root / "models" / "sleeps_once").glob("slept-*")):
        assert time.monotonic() < end, "no request arrived"
        time.sleep(0.05)


def ended(process: subprocess.Popen[str], number: int | None) -> tuple[list[str], float]:
    """Lines on stderr, and seconds from the signal to the end."""
    began = time.monotonic()
    if number is not None:
        process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    return stderr.splitlines(), time.monotonic() - began


@pytest.mark.parametrize(("control", "data"), WAYS)
def test_a_signal_ends_it_within_seconds(tmp_path: Path, sleeping: Any, control: str, data: str) -> None:
    address = sleeping.grpc if control == "grpc" else sleeping.http
    process = started(tmp_path, "--triton", address, "--control", control, "--require", data)
    until_it_sleeps(tmp_path)
    lines, seconds = ended(process, signal.SIGTERM)
    assert process.returncode == 130
    assert lines[-1].startswith("gpu-infer: error: interrupted by SIGTERM"), lines
    assert seconds < ENDS_WITHIN_S, lines
    said = [line for line in lines if "1 request in flight at" in line and "waiting up to 3 s" in line]
    stays = [line for line in lines if "remove it with gpu-infer doctor --clean once that has ended" in line]
    assert (len(said), len(stays)) == ((1, 1) if data == "system_shm" else (0, 0))
    if data == "inline":
        assert seconds < 3.0  # nothing to wait for
    else:
        arguments = ["doctor", "--clean", "--triton", address, "--output", str(tmp_path)]
        busy = subprocess.run(
            [sys.executable, "-m", "gpu_infer", *arguments],
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )
        assert "come again" in busy.stdout, busy.stdout
        assert busy.returncode == 4
        kill(sleeping)
        for path in Path("/dev/shm").glob(f"gpu_infer-{process.pid}-*"):
            path.unlink()


def local(root: Path) -> subprocess.Popen[str]:
    """A run with a server of its own, whose model sleeps."""
    shutil.copytree(MODELS / "sleeps_once", root / "models/sleeps_once", ignore=shutil.ignore_patterns("__pyc*"))
    process = started(root, "--triton", "local", "--models", str(root / "models"), "--require", "system_shm")
    until_it_sleeps(root)
    return process


def test_an_interrupt_takes_an_own_server_along_without_advice(tmp_path: Path) -> None:
    process = local(tmp_path)
    lines, seconds = ended(process, signal.SIGINT)
    assert process.returncode == 130
    assert seconds < ENDS_WITHIN_S
    assert not [line for line in lines if "doctor" in line], lines
    assert not list(Path("/dev/shm").glob(f"gpu_infer-{process.pid}-*"))


def test_a_clean_up_waits_for_the_own_server_of_a_killed_run(tmp_path: Path, triton_server: Any) -> None:
    process = local(tmp_path)
    ended(process, signal.SIGKILL)
    (segment,) = Path("/dev/shm").glob(f"gpu_infer-{process.pid}-*")
    arguments = ["doctor", "--clean", "--triton", triton_server.http, "--output", str(tmp_path)]
    doctor = [sys.executable, "-m", "gpu_infer", *arguments]
    cleaned = subprocess.run(doctor, capture_output=True, encoding="utf-8", check=False, timeout=60)
    assert "ends by itself" not in cleaned.stdout, cleaned.stdout
    assert not segment.exists(), cleaned.stdout


@pytest.mark.parametrize("data", ["system_shm", "inline"])
def test_a_deadline_ends_it_within_seconds(tmp_path: Path, sleeping: Any, data: str) -> None:
    process = started(tmp_path, "--triton", sleeping.grpc, "--control", "grpc", "--data", data, "--deadline", "2")
    until_it_sleeps(tmp_path)
    lines, seconds = ended(process, None)
    assert process.returncode == 4
    assert "did not end within 2 s" in lines[-1], lines
    assert seconds < 2.0 + ENDS_WITHIN_S
    kill(sleeping)
    for path in Path("/dev/shm").glob(f"gpu_infer-{process.pid}-*"):
        path.unlink()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT], ids=["HUP", "QUIT"])
def test_hangup_and_quit_end_it_as_sigterm_does(tmp_path: Path, sleeping: Any, number: signal.Signals) -> None:
    process = started(tmp_path, "--triton", sleeping.grpc, "--control", "grpc", "--data", "inline")
    until_it_sleeps(tmp_path)
    lines, _ = ended(process, number)
    assert process.returncode == 130
    assert lines[-1].startswith(f"gpu-infer: error: interrupted by {number.name}"), lines
    assert os.listdir(tmp_path / "output") == []  # noqa: PTH208


def test_a_local_server_ends_with_the_run(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "sleeps_once", tmp_path / "models/sleeps_once", ignore=shutil.ignore_patterns("__pyc*"))
    process = started(tmp_path, "--triton", "local", "--models", str(tmp_path / "models"))
    until_it_sleeps(tmp_path)
    lines, seconds = ended(process, signal.SIGTERM)
    assert process.returncode == 130
    assert lines[-1].startswith("gpu-infer: error: interrupted by SIGTERM"), lines
    assert seconds < ENDS_WITHIN_S, lines
    assert not list(Path("/dev/shm").glob(f"gpu_infer-{process.pid}-*"))
